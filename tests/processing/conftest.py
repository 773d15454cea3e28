"""The fixtures around records, for every test of this room."""

from tests.records import catalog, clock, database_url, postgres

__all__ = ["catalog", "clock", "database_url", "postgres"]
