from pathlib import Path

import pytest

from hooks.posts import EmbeddedPosts, Post
from processing.catalog import Catalog
from processing.medium import Medium
from processing.reasons import Rejected
from processing.shelf import Shelf
from tests.records import START, FakeClock, known, ready_medium


@pytest.fixture
def posts(catalog: Catalog, tmp_path: Path, clock: FakeClock) -> EmbeddedPosts:
    return EmbeddedPosts(catalog, Shelf(tmp_path), clock=clock)


def registered(
    catalog: Catalog, posts: EmbeddedPosts, folder: Path, upload_id: str
) -> tuple[Medium, list[Path]]:
    medium = ready_medium(catalog, upload_id, post_id="p1")
    shelf = Shelf(folder)
    choices = shelf.destinations("alice", START, upload_id, ".mp4", upload_id)
    catalog.place(medium.id, choices)
    posts.register(medium)
    catalog.registered(medium.id)
    medium = known(catalog, medium.id)
    files = [shelf.prepare(path) for path in medium.paths]
    for file in files:
        file.write_bytes(b"x")
    return medium, files


def post_of(posts: EmbeddedPosts, post_id: str = "p1") -> Post:
    post = posts.get(post_id)
    assert post is not None
    return post


def test_a_post_begins_with_its_first_medium(
    catalog: Catalog, posts: EmbeddedPosts, tmp_path: Path
) -> None:
    assert posts.get("p1") is None
    medium, _ = registered(catalog, posts, tmp_path, "u1")
    assert post_of(posts) == Post("p1", "alice", START, None, (medium,))


def test_registering_again_changes_nothing(
    catalog: Catalog, posts: EmbeddedPosts, tmp_path: Path
) -> None:
    medium, _ = registered(catalog, posts, tmp_path, "u1")
    before = post_of(posts)
    posts.register(medium)
    assert not catalog.registered(medium.id)
    assert post_of(posts) == before


def test_a_post_of_another_user_refuses(catalog: Catalog, posts: EmbeddedPosts) -> None:
    posts.register(ready_medium(catalog, "u1", post_id="p1"))
    with pytest.raises(Rejected) as refused:
        posts.register(ready_medium(catalog, "u2", post_id="p1", owner="mallory"))
    assert [reason.code for reason in refused.value.reasons] == ["post_of_another_user"]
    assert post_of(posts).owner == "alice"


def test_a_medium_that_is_only_ready_is_not_in_the_post_yet(
    catalog: Catalog, posts: EmbeddedPosts
) -> None:
    posts.register(ready_medium(catalog, "u1", post_id="p1"))
    assert post_of(posts).media == ()


def test_publishing_deletes_the_files_and_keeps_the_records(
    catalog: Catalog, posts: EmbeddedPosts, tmp_path: Path, clock: FakeClock
) -> None:
    made = [registered(catalog, posts, tmp_path, upload_id) for upload_id in ("u1", "u2")]
    clock.advance(60)
    post = posts.published("p1")
    assert post is not None
    assert post.published_at == clock.now
    assert [medium.status for medium in post.media] == ["deleted", "deleted"]
    assert {medium.id for medium in post.media} == {medium.id for medium, _ in made}
    assert not any(file.exists() for _, files in made for file in files)
    clock.advance(60)
    assert posts.published("p1") == post


def test_an_unknown_post_cannot_be_published(posts: EmbeddedPosts) -> None:
    assert posts.published("nothing") is None


def test_a_medium_that_comes_late_keeps_its_files_until_the_next_call(
    catalog: Catalog, posts: EmbeddedPosts, tmp_path: Path
) -> None:
    registered(catalog, posts, tmp_path, "u1")
    posts.published("p1")
    late, files = registered(catalog, posts, tmp_path, "u2")
    assert known(catalog, late.id).status == "registered"
    assert all(file.exists() for file in files)
    posts.published("p1")
    assert known(catalog, late.id).status == "deleted"
    assert not any(file.exists() for file in files)


def test_a_crash_before_the_files_are_gone_is_finished_by_the_next_call(
    catalog: Catalog, posts: EmbeddedPosts, tmp_path: Path
) -> None:
    medium, files = registered(catalog, posts, tmp_path, "u1")
    catalog.published("p1")
    assert all(file.exists() for file in files)
    posts.published("p1")
    assert known(catalog, medium.id).status == "deleted"
    assert not any(file.exists() for file in files)
