"""How much of the disk each user has taken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, Connection, func, literal_column, select

from processing.medium import Status
from processing.tables import media

NOT_STORED: tuple[Status, ...] = ("rejected", "deleted")


# The column holds a list, or the JSON null of a medium without one.
_DERIVED = {
    "sqlite": literal_column(
        "(SELECT sum(json_extract(value, '$.size')) FROM json_each(media.derivatives))", BigInteger
    ),
    "postgresql": literal_column(
        "(SELECT sum((value->>'size')::bigint) FROM json_array_elements("
        "CASE json_typeof(media.derivatives) WHEN 'array' THEN media.derivatives ELSE '[]' END))",
        BigInteger,
    ),
}


@dataclass(frozen=True, slots=True)
class Usage:
    """One owner's media: how many in each state, and the bytes of those that are stored.

    `derived_bytes` are those of derivatives whose size is in the record.
    """

    owner: str
    media: Mapping[str, int]
    original_bytes: int
    derived_bytes: int

    @property
    def stored_bytes(self) -> int:
        """Originals and derivatives."""
        return self.original_bytes + self.derived_bytes


def usage_within(connection: Connection, kind: str, owner: str | None) -> Sequence[Usage]:
    """The usage of every owner, or of one, by name; `kind` is that of the Database."""
    query = select(
        media.c.owner,
        media.c.status,
        func.count().label("number"),
        func.coalesce(func.sum(media.c.size), 0).label("original"),
        func.coalesce(func.sum(_DERIVED[kind]), 0).label("derived"),
    )
    if owner is not None:
        query = query.where(media.c.owner == owner)
    found: dict[str, Usage] = {}
    for row in connection.execute(query.group_by(media.c.owner, media.c.status)):
        stored = row.status not in NOT_STORED
        before = found.get(row.owner, Usage(row.owner, {}, 0, 0))
        found[row.owner] = Usage(
            row.owner,
            {**before.media, row.status: row.number},
            before.original_bytes + int(row.original) * stored,
            before.derived_bytes + int(row.derived) * stored,
        )
    return [found[name] for name in sorted(found)]
