"""The reading room under load: one large exam in a browser, and ten sessions at once on one server."""
