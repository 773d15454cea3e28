"""The extension concatenation-unfinished: the whole is asked for while its parts are under way.

Sentences are those of tus 1.0.0.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.live import Live
from tests.raw import Client, eventually, jpeg_bytes
from tests.rooms import GIF, Tus, make_app, metadata, settings, upload_id
from tests.web.test_concatenation import begin_part, final, head, names, part
from tests.web.test_core import TUS
from tests.web.test_deferred_length import patch


def test_it_is_announced(tus: Tus) -> None:
    """This feature MUST be explicitly announced by the Server by adding concatenation-unfinished to
    the Tus-Extension header."""
    announced = tus.talk("OPTIONS /files/", "204").headers["Tus-Extension"]
    assert "concatenation-unfinished" in announced.split(",")


def test_the_whole_is_there_when_its_last_part_is(tus: Tus) -> None:
    """The Client MAY send the concatenation request while the partial uploads are still in
    progress. The response to a HEAD request for a final upload SHOULD NOT contain the Upload-Offset
    header unless the concatenation has been successfully finished. The Upload-Length header MUST be
    included if the length of the final resource can be calculated at the time of the request."""
    one, two, three = begin_part(tus, 6), begin_part(tus, 5), part(tus, b"!")
    whole = upload_id(
        tus.talk(final([one, two, three]), "201\nUpload-Media-Id: (absent)\nUpload-Expires: ...")
    )
    unfinished = (
        "200\nUpload-Offset: (absent)\nUpload-Length: 12\nUpload-Defer-Length: (absent)\n"
        f"Upload-Concat: final;/files/{one} /files/{two} /files/{three}\n"
        "Upload-Media-Id: (absent)\nUpload-Expires: (anything)"
    )
    tus.talk(head(whole), unfinished)
    assert tus.append(two, 0, GIF[6:]).status_code == 204
    tus.talk(head(whole), unfinished)
    assert tus.append(one, 0, GIF[:3]).status_code == 204
    assert tus.get(f"/files/{whole}").status_code == 409
    tus.talk(head(one), "200\nUpload-Offset: 3\nUpload-Concat: partial")
    assert tus.append(one, 3, GIF[3:6]).status_code == 204
    tus.talk(
        head(whole),
        "200\nUpload-Offset: 12\nUpload-Length: 12\nUpload-Media-Id: (anything)\n"
        f"Upload-Concat: final;/files/{one} /files/{two} /files/{three}",
    )
    assert [tus.head(each).status_code for each in (one, two, three)] == [404] * 3


def test_the_length_is_told_as_soon_as_it_is_known(tus: Tus) -> None:
    """The Upload-Length header MUST be included if the length of the final resource can be
    calculated at the time of the request."""
    late = upload_id(
        tus.talk(f"POST /files/\n{TUS}\nUpload-Concat: partial\nUpload-Defer-Length: 1", "201")
    )
    one = part(tus, GIF)
    whole = upload_id(tus.talk(final([one, late]), "201"))
    tus.talk(head(whole), "200\nUpload-Length: (absent)\nUpload-Defer-Length: 1")
    tus.talk(patch(late, 0, 4), "204", body=b"--")
    tus.talk(
        head(whole),
        "200\nUpload-Length: 15\nUpload-Offset: (absent)\nUpload-Defer-Length: (absent)",
    )
    tus.talk(patch(late, 2), "204", body=b"--")
    tus.talk(head(whole), "200\nUpload-Length: 15\nUpload-Offset: 15")


def test_a_last_part_of_no_bytes(tus: Tus) -> None:
    begin = f"POST /files/\n{TUS}\nUpload-Concat: partial\nUpload-Defer-Length: 1"
    one, late = part(tus, GIF), upload_id(tus.talk(begin, "201"))
    whole = upload_id(tus.talk(final([one, late]), "201"))
    tus.talk(patch(late, 0, 0), "204")
    tus.talk(head(whole), "200\nUpload-Length: 11\nUpload-Offset: 11")


def test_several_uploads_wait_for_one_part(alice: Tus, tmp_path: Path) -> None:
    late = begin_part(alice, 1)
    tops = [part(alice, GIF), part(alice, GIF + b"!")]
    wholes = [upload_id(alice.talk(final([top, late, late]), "201")) for top in tops]
    assert alice.append(late, 0, b"?").status_code == 204
    assert alice.get(f"/files/{wholes[0]}").data == GIF + b"??"
    assert alice.get(f"/files/{wholes[1]}").data == GIF + b"!??"
    assert names(tmp_path) == {each + end for each in wholes for end in ("", ".info")}


def test_a_refusal_is_the_troubles_of_the_whole(tus: Tus) -> None:
    """Whoever sends the last part has done nothing wrong; HEAD tells what became of the whole."""
    one, two = part(tus, b"hello "), begin_part(tus, 5)
    whole = upload_id(tus.talk(final([one, two]), "201"))
    assert tus.append(two, 0, b"world").status_code == 204
    for _ in range(2):
        tus.talk(head(whole), "415\nUpload-Offset: (absent)")
    assert tus.append(whole, 0, b"").status_code == 415
    assert [tus.offset(one), tus.offset(two)] == [6, 5]
    assert tus.delete(whole).status_code == 204


def test_the_digest_of_the_whole(tus: Tus) -> None:
    one, two, three = part(tus, GIF), begin_part(tus, 1), part(tus, GIF)
    said = f"Upload-Metadata: {metadata(sha256=hashlib.sha256(GIF + b'!').hexdigest())}"
    good = upload_id(tus.talk(final([one, two], said), "201"))
    bad = upload_id(tus.talk(final([three, two, two], said), "201"))
    assert tus.append(two, 0, b"!").status_code == 204
    assert tus.offset(good) == 12
    tus.talk(head(bad), "460\nUpload-Offset: (absent)")


def test_a_part_is_deleted_before_the_whole_is_there(tus: Tus) -> None:
    one, two = begin_part(tus, 11), begin_part(tus, 1)
    whole = upload_id(tus.talk(final([one, two]), "201"))
    assert tus.delete(two).status_code == 204
    assert tus.append(one, 0, GIF).status_code == 204
    tus.talk(head(whole), "200\nUpload-Offset: (absent)\nUpload-Length: 12")
    assert tus.delete(whole).status_code == 204
    assert tus.offset(one) == 11


def test_the_whole_is_deleted_before_its_parts_are_there(tus: Tus) -> None:
    one = begin_part(tus, 11)
    whole = upload_id(tus.talk(final([one]), "201"))
    assert tus.delete(whole).status_code == 204
    assert tus.append(one, 0, GIF).status_code == 204
    tus.talk(head(whole), "404")
    assert tus.offset(one) == 11


def test_parts_that_become_too_large_together(tmp_path: Path) -> None:
    with make_app(settings(tmp_path, max_size=20)) as app:
        tus = Tus(app)
        begin = f"POST /files/\n{TUS}\nUpload-Concat: partial\nUpload-Defer-Length: 1"
        one, late = part(tus, GIF), upload_id(tus.talk(begin, "201"))
        whole = upload_id(tus.talk(final([one, late]), "201"))
        tus.talk(patch(late, 0, 10), "204", body=b"0123456789")
        tus.talk(head(whole), "413\nUpload-Offset: (absent)")


def test_the_request_is_sent_again_while_parts_are_missing(tus: Tus) -> None:
    one = begin_part(tus, 11)
    request = final([one], "Idempotency-Key: k1")
    first = upload_id(tus.talk(request, "201"))
    assert upload_id(tus.talk(request, "201")) == first
    tus.append(one, 0, GIF)
    assert upload_id(tus.talk(request, "201")) == first
    assert tus.offset(first) == 11


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Two web processes without a worker."""
    with Live(tmp_path_factory.mktemp("pair") / "data", workers=2) as server:
        yield server


def test_the_last_parts_come_at_once(pair: Live) -> None:
    """Whichever process takes in the last one, the whole is joined, and joined once."""
    client = Client(pair)
    content = jpeg_bytes(400_000)
    blocks = [content[at : at + 100_000] for at in range(0, 400_000, 100_000)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            fields = ("Upload-Concat", "partial"), ("Upload-Length", "100000")
            answers = [client.ask("POST", "/files/", *fields) for _ in blocks]
            paths = ["/files/" + answer["location"].rpartition("/")[2] for answer in answers]
            answer = client.ask("POST", "/files/", ("Upload-Concat", f"final;{' '.join(paths)}"))
            whole = "/files/" + answer["location"].rpartition("/")[2]
            sent = pool.map(client.patch, paths, [0] * 4, blocks)
            assert [answer.status for answer in sent] == [204] * 4
            eventually(lambda whole=whole: client.ask("HEAD", whole).get("upload-offset"), "400000")
            assert client.download(whole) == content
            gone = [client.ask("HEAD", path).status for path in paths]
            assert gone == [404] * 4
