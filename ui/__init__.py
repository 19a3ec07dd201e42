"""The reading room: Streamlit screens over the ledger's records; no torch and no SQL in here."""
