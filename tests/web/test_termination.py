"""The termination extension."""

from pathlib import Path

from tests.rooms import GIF, OCTETS, Tus, able_to, in_memory, make_app, settings
from tests.web.test_core import TUS
from tests.web.test_creation import files_of
from tusd_server.storage.base import Concatenates, Expires, KnowsOwners, RemembersKeys, Terminates

ALL_BUT_FORGET = (Expires, Concatenates, RemembersKeys, KnowsOwners)


def test_a_terminated_upload_is_gone(tus: Tus) -> None:
    """When receiving a DELETE request for an existing upload the Server SHOULD free associated
    resources and MUST respond with the 204 No Content status. For all future requests to this URL
    the Server SHOULD respond with the 404 Not Found or 410 Gone status."""
    upload = tus.create()
    tus.append(upload, 0, b"GIF89a")
    tus.talk(f"DELETE /files/{upload}\n{TUS}", f"204\n{TUS}\nContent-Type: (absent)")
    tus.talk(f"HEAD /files/{upload}\n{TUS}", "404\nUpload-Offset: (absent)")
    tus.talk(
        f"PATCH /files/{upload}\n{TUS}\nContent-Type: {OCTETS}\nUpload-Offset: 6\n\n-----", "404"
    )
    tus.talk(f"DELETE /files/{upload}\n{TUS}", "404")


def test_nothing_is_left_of_it(alice: Tus, tmp_path: Path) -> None:
    unfinished, finished = alice.create(), alice.create(body=GIF)
    assert len(files_of(tmp_path)) == 4
    assert alice.delete(unfinished).status_code == 204
    assert alice.delete(finished).status_code == 204
    assert files_of(tmp_path) == []


def test_a_finished_upload_takes_its_medium_with_it(tus: Tus) -> None:
    upload = tus.create()
    media_id = tus.append(upload, 0, GIF).headers["Upload-Media-Id"]
    assert tus.delete(upload).status_code == 204
    document = tus.get(f"/api/v1/media/{media_id}").json
    assert document is not None
    assert (document["status"], document["url"]) == ("deleted", None)


def test_an_unknown_upload(tus: Tus) -> None:
    tus.talk(f"DELETE /files/24e533e02ec3bc40c387f1a0e460e216\n{TUS}", f"404\n{TUS}")


def test_a_store_that_cannot_forget(tmp_path: Path) -> None:
    """The extension vanishes from Tus-Extension, and the verb from the URL."""
    store = able_to(*ALL_BUT_FORGET)
    assert not isinstance(store, Terminates)
    with make_app(settings(tmp_path), **in_memory(store)) as app:
        tus = Tus(app)
        offered = tus.talk("OPTIONS /files/", "204").headers["Tus-Extension"].split(",")
        assert "termination" not in offered
        assert "concatenation" in offered
        upload = tus.create()
        tus.talk(
            f"DELETE /files/{upload}\n{TUS}",
            f"405\n{TUS}\nAllow: GET, HEAD, OPTIONS, PATCH",
        )
        assert tus.offset(upload) == 0


def test_a_store_that_cannot_forget_still_refuses(tmp_path: Path) -> None:
    with make_app(settings(tmp_path), **in_memory(able_to(*ALL_BUT_FORGET))) as app:
        tus = Tus(app)
        tus.talk(
            f"POST /files/\n{TUS}\nUpload-Length: 11\nContent-Type: {OCTETS}\n\n#EXTM3U....", "415"
        )
