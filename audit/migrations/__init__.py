"""Alembic migrations of the audit trail; none of them ever rewrites the body of an entry."""
