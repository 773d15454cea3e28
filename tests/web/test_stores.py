"""What a store cannot do is not offered, and nobody who asks for it is misled."""

from pathlib import Path

import pytest

from tests.rooms import GIF, OCTETS, Tus, able_to, in_memory, make_app, settings, upload_id
from tests.web.test_core import TUS
from tusd_server.storage.base import (
    Concatenates,
    Expires,
    KnowsOwners,
    RemembersKeys,
    Terminates,
    extensions,
)

ALWAYS = "creation,creation-with-upload,creation-defer-length,checksum,checksum-trailer"


@pytest.mark.parametrize(
    ("abilities", "offered"),
    [
        ((), ALWAYS),
        ((Terminates,), f"{ALWAYS},termination"),
        ((Expires,), f"{ALWAYS},expiration"),
        ((Concatenates,), f"{ALWAYS},concatenation,concatenation-unfinished"),
        ((RemembersKeys, KnowsOwners), ALWAYS),
    ],
)
def test_what_is_offered(tmp_path: Path, abilities: tuple[type, ...], offered: str) -> None:
    store = able_to(*abilities)
    assert ",".join(extensions(store)) == offered
    with make_app(settings(tmp_path), **in_memory(store)) as app:
        Tus(app).talk("OPTIONS /files/", f"204\nTus-Extension: {offered}")


def test_the_least_store_takes_uploads(tmp_path: Path) -> None:
    """With quotas and keys, which such a store can neither count nor remember."""
    config = settings(tmp_path, user_max_unfinished=1, user_max_bytes=20)
    with make_app(config, **in_memory(able_to())) as app:
        tus = Tus(app)
        for _ in range(2):
            upload = upload_id(
                tus.talk(
                    f"POST /files/\n{TUS}\nUpload-Length: 11\nIdempotency-Key: k",
                    "201\nUpload-Expires: (absent)",
                )
            )
        tus.talk(f"HEAD /files/{upload}\n{TUS}", "200\nUpload-Offset: 0\nUpload-Expires: (absent)")
        assert tus.append(upload, 0, GIF).headers["Upload-Offset"] == "11"
        assert tus.offset(upload) == 11


def test_a_store_that_cannot_expire_keeps_uploads(tmp_path: Path) -> None:
    config = settings(tmp_path, expire_unfinished_seconds=1e-6)
    with make_app(config, **in_memory(able_to(Terminates))) as app:
        tus = Tus(app)
        upload = tus.create(20)
        tus.talk(
            f"PATCH /files/{upload}\n{TUS}\nContent-Type: {OCTETS}\nUpload-Offset: 0\n\nGIF89a",
            "204\nUpload-Offset: 6\nUpload-Expires: (absent)",
        )
        assert tus.offset(upload) == 6


@pytest.mark.parametrize("abilities", [(), (Terminates, Expires)])
def test_a_store_that_cannot_join_takes_no_parts(
    tmp_path: Path, abilities: tuple[type, ...]
) -> None:
    """A part that nobody can join is no file; its client is told before it sends a byte."""
    store = able_to(*abilities)
    with make_app(settings(tmp_path), **in_memory(store)) as app:
        tus = Tus(app)
        upload = tus.create(body=GIF)
        for header in (
            "Upload-Length: 11\nUpload-Concat: partial",
            f"Upload-Concat: final;{upload}",
        ):
            tus.talk(
                f"POST /files/\n{TUS}\n{header}",
                """
                400
                Location: (absent)

                Upload-Concat is not supported; send the file as one upload.
                """,
            )
        assert [info.id for info in store.all()] == [upload]
