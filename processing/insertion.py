"""INSERT of one row, prepared once."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

Convert = Callable[[Any], Any]


class InsertIfNew:
    """Inserts a row unless one with any of its unique values is there.

    SQLAlchemy's general way takes ten times as long as the database does, and this one is on the
    way of every upload: the text of the statement and the conversions of its values are worked
    out once for each set of columns.
    """

    def __init__(self, table: Table, dialect: Dialect) -> None:
        """Nothing is asked of the database."""
        self._table = table
        self._dialect = dialect
        self._prepared: dict[tuple[str, ...], _Prepared] = {}

    def __call__(self, connection: Connection, values: Mapping[str, Any]) -> bool:
        """Insert; False when there was such a row. A column that is None is left out."""
        row = {name: value for name, value in values.items() if value is not None}
        columns = tuple(row)
        prepared = self._prepared.get(columns)
        if prepared is None:
            prepared = self._prepared[columns] = _Prepared(self._table, columns, self._dialect)
        return prepared.run(connection, row)


class _Prepared:
    def __init__(self, table: Table, columns: tuple[str, ...], dialect: Dialect) -> None:
        # No target: of two rows that agree in several unique columns, PostgreSQL may notice any
        # of these first, and raises for one that is not named.
        kind = sqlite.insert if dialect.name == "sqlite" else postgresql.insert
        statement = kind(table).on_conflict_do_nothing()
        compiled = statement.compile(dialect=dialect, column_keys=list(columns))
        self._dialect = dialect
        self._errors: type[Exception] = dialect.loaded_dbapi.Error
        self._text = str(compiled)
        self._by_position = compiled.positiontup
        names = columns if self._by_position is None else self._by_position
        self._converts = [(name, _conversion(table, name, dialect)) for name in names]

    def run(self, connection: Connection, row: Mapping[str, Any]) -> bool:
        values = {
            name: row[name] if convert is None else convert(row[name])
            for name, convert in self._converts
        }
        bound = values if self._by_position is None else tuple(values.values())
        cursor = connection.connection.cursor()
        try:
            cursor.execute(self._text, bound)
            return cursor.rowcount == 1
        except self._errors as error:
            # As SQLAlchemy raises it: who catches its errors catches this one too.
            raise DBAPIError.instance(
                self._text, None, error, self._errors, dialect=self._dialect
            ) from error
        finally:
            cursor.close()


def _conversion(table: Table, column: str, dialect: Dialect) -> Convert | None:
    convert: Convert | None = table.c[column].type.dialect_impl(dialect).bind_processor(dialect)
    return convert
