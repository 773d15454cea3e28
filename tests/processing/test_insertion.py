import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from processing.catalog import Catalog
from processing.insertion import InsertIfNew
from processing.moments import utc_now
from processing.tables import posts

NOW = utc_now()
POST = {"id": "p1", "owner": "alice", "created_at": NOW, "published_at": None}


@pytest.fixture
def insert(catalog: Catalog) -> InsertIfNew:
    return catalog.database.insert_if_new(posts)


def rows(catalog: Catalog) -> list[dict[str, object]]:
    query = select(posts).order_by(posts.c.id)
    return catalog.database.read(lambda c: [dict(r._mapping) for r in c.execute(query)])


def test_a_new_row_is_there_with_the_values_it_was_given(
    catalog: Catalog, insert: InsertIfNew
) -> None:
    assert catalog.database.write(lambda c: insert(c, POST))
    assert rows(catalog) == [POST]


def test_a_row_that_is_there_stays_as_it_is(catalog: Catalog, insert: InsertIfNew) -> None:
    catalog.database.write(lambda c: insert(c, POST))
    assert not catalog.database.write(lambda c: insert(c, {**POST, "owner": "mallory"}))
    assert rows(catalog) == [POST]


def test_rows_of_different_columns(catalog: Catalog, insert: InsertIfNew) -> None:
    published = {**POST, "id": "p2", "published_at": NOW}
    catalog.database.write(lambda c: [insert(c, POST), insert(c, published), insert(c, POST)])
    assert rows(catalog) == [POST, published]


def test_an_error_is_raised_as_sqlalchemys(catalog: Catalog, insert: InsertIfNew) -> None:
    with pytest.raises(DBAPIError):
        catalog.database.write(lambda c: insert(c, {**POST, "owner": object()}))
    assert rows(catalog) == []
