"""Brings a database to the tables of this version, step by step, by Alembic."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from processing.database import Database

HEAD = "0004"

_MIGRATING = 0x7475_7301


def migrate(database: Database) -> None:
    """Run the steps that are missing, all or none; a database from the future is a RuntimeError.

    Several processes may start at once: the first one migrates, the others wait and find it done.
    """
    database.make_folder()
    # Alembic takes 150 ms to import; the usual start has nothing to do and never pays that.
    if database.read(_revision) == HEAD:
        return
    database.write(lambda connection: _upgrade(database, connection))


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _upgrade(database: Database, connection: Connection) -> None:
    # One transaction around everything is the guard between processes: SQLite gives it to one
    # writer (BEGIN IMMEDIATE), PostgreSQL by the advisory lock. It also leaves no half-done step.
    database.only_one_at_a_time(connection, _MIGRATING)
    found = _revision(connection)
    if found == HEAD:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise RuntimeError(
            f"The database is at revision {found}, which this version cannot migrate from; "
            "run the version that wrote it, or a newer one."
        ) from error
