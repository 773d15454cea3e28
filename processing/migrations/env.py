"""What Alembic runs: the migrations, within the transaction that our caller has opened."""

from alembic import context

from processing.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
