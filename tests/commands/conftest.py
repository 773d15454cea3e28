"""The command line, for every test of this room."""

from tests.shell import cli

__all__ = ["cli"]
