"""Alembic's entry point: runs on the connection that `audit.database.upgrade` hands over, in its transaction."""

from alembic import context

from audit.models import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
