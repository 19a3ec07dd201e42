"""The audit trail: a signed, append-only ledger of every prediction, its evidence store, trace and report."""
