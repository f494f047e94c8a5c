"""Alembic's environment: the caller's connection and transaction, so that a migration happens whole or not at all."""

from alembic import context

from relay.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
