"""The concatenation extension. Sentences are those of tus 1.0.0."""

import hashlib
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask

from tests.raw import Client, eventually, jpeg_bytes
from tests.rooms import GIF, MP4, OCTETS, Tus, catalog_of, make_app, metadata, settings, upload_id
from tests.web.test_core import TUS


def begin_part(tus: Tus, length: object, *more: str) -> str:
    lines = ("POST /files/", TUS, "Upload-Concat: partial", f"Upload-Length: {length}", *more)
    return upload_id(tus.talk("\n".join(lines), "201\nUpload-Concat: partial"))


def part(tus: Tus, content: bytes) -> str:
    """A complete part."""
    upload = begin_part(tus, len(content))
    if content:
        assert tus.append(upload, 0, content).status_code == 204
    return upload


def final(parts: Sequence[str], *more: str) -> str:
    urls = " ".join(f"/files/{each}" for each in parts)
    return "\n".join(("POST /files/", TUS, f"Upload-Concat: final;{urls}", *more))


def join(tus: Tus, *parts: str) -> str:
    return upload_id(tus.talk(final(parts), "201\nUpload-Media-Id: (anything)"))


def head(upload: str) -> str:
    return f"HEAD /files/{upload}\n{TUS}"


def names(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "data").iterdir() if path.name[0] != "."}


def test_it_is_announced(tus: Tus) -> None:
    """If the Server supports this extension, it MUST add concatenation to the Tus-Extension
    header."""
    announced = tus.talk("OPTIONS /files/", "204").headers["Tus-Extension"]
    assert "concatenation" in announced.split(",")


def test_the_example_of_the_specification(tus: Tus) -> None:
    """The length of the final upload MUST be the sum of the length of all partial uploads. After
    successful concatenation, the Upload-Offset and Upload-Length MUST be set and their values MUST
    be equal. Response to HEAD request against partial or final upload MUST include the
    Upload-Concat header and its value as received in the upload creation request."""
    one, two = begin_part(tus, 6), begin_part(tus, 5)
    tus.append(one, 0, GIF[:6])
    tus.append(two, 0, GIF[6:])
    tus.talk(head(one), "200\nUpload-Offset: 6\nUpload-Length: 6\nUpload-Concat: partial")
    urls = f"http://localhost/files/{one} /files/{two}"
    response = tus.talk(
        f"POST /files/\n{TUS}\nUpload-Concat: final;{urls}",
        f"""
        201
        {TUS}
        Location: http://localhost/files/...
        Upload-Concat: final;{urls}
        Upload-Media-Id: (anything)
        Upload-Offset: (absent)
        """,
    )
    tus.talk(
        head(upload_id(response)),
        f"""
        200
        Upload-Offset: 11
        Upload-Length: 11
        Upload-Concat: final;{urls}
        Upload-Defer-Length: (absent)
        Upload-Expires: (absent)
        Upload-Media-Id: {response.headers["Upload-Media-Id"]}
        """,
    )


def test_the_order_is_that_of_the_list(alice: Tus) -> None:
    """The partial uploads MUST be concatenated as per the order specified in the list."""
    tail, top = part(alice, b"tail"), part(alice, MP4)
    whole = join(alice, top, tail)
    assert alice.get(f"/files/{whole}").data == MP4 + b"tail"


def test_a_part_that_comes_more_than_once(alice: Tus) -> None:
    """The same partial upload MAY be present multiple times in the Upload-Concat header in one
    upload creation request."""
    again, top = part(alice, b"again"), part(alice, MP4)
    whole = join(alice, top, again, again, top)
    assert alice.get(f"/files/{whole}").data == MP4 + b"againagain" + MP4


def test_parts_that_come_in_parallel(client: Client) -> None:
    """Concatenation enables Clients to perform parallel uploads: four parts, byte for byte."""
    content = jpeg_bytes(4 * 300_000)
    blocks = [content[at : at + 300_000] for at in range(0, len(content), 300_000)]

    def send(block: bytes) -> str:
        answer = client.ask(
            "POST", "/files/", ("Upload-Concat", "partial"), ("Upload-Length", str(len(block)))
        )
        path = "/files/" + answer["location"].rpartition("/")[2]
        for at in range(0, len(block), 100_000):
            assert client.patch(path, at, block[at : at + 100_000]).status == 204
        return path

    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(send, blocks))
    answer = client.ask("POST", "/files/", ("Upload-Concat", f"final;{' '.join(paths)}"))
    assert answer.status == 201, answer
    whole = "/files/" + answer["location"].rpartition("/")[2]
    assert hashlib.sha256(client.download(whole)).digest() == hashlib.sha256(content).digest()
    eventually(lambda: [client.ask("HEAD", path).status for path in paths], [404] * 4)


def test_a_partial_upload_is_no_medium(alice: Tus, app: Flask) -> None:
    """The Server SHOULD NOT process these partial uploads until they are concatenated."""
    one = begin_part(alice, 6)
    assert "Upload-Media-Id" not in alice.append(one, 0, GIF[:6]).headers
    alice.talk(head(one), "200\nUpload-Media-Id: (absent)")
    two = part(alice, GIF[6:])
    assert catalog_of(app).by_upload(one) is None
    whole = join(alice, one, two)
    medium = catalog_of(app).by_upload(whole)
    assert medium is not None
    assert (medium.size, medium.owner) == (11, "alice")


def test_a_part_may_hold_anything(tus: Tus) -> None:
    """Only the first part of a file begins as the file does."""
    text = part(tus, b"hello world, " * 1000)
    assert tus.offset(text) == 13_000


def test_metadata_is_not_inherited(tus: Tus) -> None:
    """When creating a new final upload the partial uploads' metadata SHALL NOT be transferred to
    the new final upload. All metadata SHOULD be included in the concatenation request."""
    one = begin_part(tus, 11, f"Upload-Metadata: {metadata(filename='part.gif', post_id='p1')}")
    tus.append(one, 0, GIF)
    two, three = part(tus, b"-"), part(tus, b"-")
    tus.talk(head(join(tus, one, two)), "200\nUpload-Metadata: (absent)")
    own = metadata(filename="whole.gif")
    four = part(tus, GIF)
    whole = upload_id(tus.talk(final([four, three], f"Upload-Metadata: {own}"), "201"))
    tus.talk(head(whole), f"200\nUpload-Metadata: {own}")


def test_a_patch_of_a_final_upload(tus: Tus) -> None:
    """The Server MUST respond with the 403 Forbidden status to PATCH requests against a final
    upload URL and MUST NOT modify the final or its partial uploads."""
    whole = join(tus, part(tus, GIF), part(tus, b"-"))
    unfinished = begin_part(tus, 5)
    waits = upload_id(tus.talk(final([unfinished]), "201"))
    for upload in (whole, waits):
        for offset in (0, 12):
            response = tus.append(upload, offset, b"x")
            assert response.status_code == 403
            assert "Upload-Offset" not in response.headers
    assert tus.offset(whole) == 12
    assert tus.offset(unfinished) == 0


def test_the_parts_are_deleted(alice: Tus, tmp_path: Path) -> None:
    """The Server MAY delete partial uploads after concatenation."""
    parts = [part(alice, GIF), part(alice, b"-")]
    whole = join(alice, *parts)
    assert [alice.head(each).status_code for each in parts] == [404, 404]
    assert names(tmp_path) == {whole, f"{whole}.info"}
    assert list((tmp_path / "data/.tusd-server/awaited").iterdir()) == []


def test_a_part_of_several_uploads(alice: Tus, tmp_path: Path) -> None:
    """The same partial upload MAY be used in multiple upload creation requests: it is kept for as
    long as one of them waits."""
    shared, tail, late = part(alice, GIF), part(alice, b"-"), begin_part(alice, 1)
    second = upload_id(alice.talk(final([shared, late]), "201"))
    first = join(alice, shared, tail)
    assert alice.head(tail).status_code == 404
    assert alice.head(shared).status_code == 200
    assert alice.append(late, 0, b"+").status_code == 204
    assert alice.get(f"/files/{first}").data == GIF + b"-"
    assert alice.get(f"/files/{second}").data == GIF + b"+"
    assert names(tmp_path) == {first, f"{first}.info", second, f"{second}.info"}


def test_parts_that_are_not_there(tus: Tus) -> None:
    good = part(tus, GIF)
    tus.talk(final([good, "24e533e02ec3bc40c387f1a0e460e216"]), "404\nLocation: (absent)")
    foreign = part(tus.other("bob"), b"-")
    tus.talk(final([good, foreign]), "404\nLocation: (absent)\n\nThere is no such upload.")
    assert tus.offset(good) == 11
    assert tus.other("bob").offset(foreign) == 1


def test_an_upload_that_is_no_part(tus: Tus) -> None:
    whole = tus.create()
    tus.append(whole, 0, GIF)
    sentence = "Upload-Concat names an upload that was not created as `partial`."
    tus.talk(final([whole]), f"400\nLocation: (absent)\n\n{sentence}")
    joined = join(tus, part(tus, GIF))
    tus.talk(final([joined]), f"400\n\n{sentence}")


@pytest.mark.parametrize(
    "text", ["final", "final;", "final; ", "none", "Partial", "final;/other/a", "final;/files/"]
)
def test_a_header_that_is_neither(alice: Tus, tmp_path: Path, text: str) -> None:
    """If the upload is a partial one, the header value MUST be partial. In the case of a final
    upload, its value MUST be final followed by a semicolon and a space-separated list."""
    alice.talk(f"POST /files/\n{TUS}\nUpload-Length: 5\nUpload-Concat: {text}", "400")
    alice.talk(f"POST /files/\n{TUS}\nUpload-Concat: {text}", "400")
    assert names(tmp_path) == set()


def test_too_many_parts(tus: Tus) -> None:
    urls = " ".join(["a"] * 10_001)
    tus.talk(f"POST /files/\n{TUS}\nUpload-Concat: final;{urls}", "400")


@pytest.mark.parametrize("header", ["Upload-Length: 11", "Upload-Defer-Length: 1"])
def test_a_length_of_a_final_upload(tus: Tus, header: str) -> None:
    """The Client MUST NOT include the Upload-Length header in the final upload creation."""
    upload = part(tus, GIF)
    tus.talk(final([upload], header), "400\nLocation: (absent)")
    assert tus.offset(upload) == 11


def test_a_final_upload_has_no_bytes_of_its_own(tus: Tus) -> None:
    upload = part(tus, GIF)
    tus.talk(final([upload], f"Content-Type: {OCTETS}"), "400", body=b"-")
    assert tus.offset(upload) == 11


def test_a_part_needs_a_length(tus: Tus) -> None:
    tus.talk(f"POST /files/\n{TUS}\nUpload-Concat: partial", "400")
    tus.talk(f"POST /files/\n{TUS}\nUpload-Concat: partial\nUpload-Defer-Length: 1", "201")


def test_a_part_with_its_bytes(tus: Tus) -> None:
    response = tus.talk(
        f"POST /files/\n{TUS}\nUpload-Concat: partial\nUpload-Length: 5\nContent-Type: {OCTETS}",
        "201\nUpload-Offset: 5\nUpload-Concat: partial\nUpload-Media-Id: (absent)",
        body=b"hello",
    )
    assert tus.offset(upload_id(response)) == 5


def test_a_whole_that_is_too_large(tmp_path: Path) -> None:
    """If the length of the upload exceeds the maximum, the Server MUST respond with the 413."""
    with make_app(settings(tmp_path, max_size=20)) as app:
        tus = Tus(app)
        one, two = part(tus, GIF), part(tus, b"0123456789")
        tus.talk(
            final([one, two]),
            "413\nLocation: (absent)\n\n"
            "The parts have 21 bytes together; at most 20 bytes are allowed.",
        )
        tus.talk(final([two, two]), "415")
        tus.talk(final([one]), "201")


@pytest.mark.parametrize("size", [20, 9000])
def test_parts_that_are_a_text_together(alice: Tus, tmp_path: Path, size: int) -> None:
    """What is refused at the join leaves no upload; the parts are the client's to use or delete."""
    text = (b"hello world, " * 1000)[:size]
    parts = [part(alice, text[:7]), part(alice, text[7:])]
    alice.talk(final(parts), "415\nLocation: (absent)\nUpload-Media-Id: (absent)")
    assert names(tmp_path) == {each + end for each in parts for end in ("", ".info")}
    for each in parts:
        assert alice.delete(each).status_code == 204


def test_the_type_is_judged_across_the_border_of_two_parts(alice: Tus) -> None:
    blocks = [MP4[:5], MP4[5:9], MP4[9:] + b"-"]
    whole = join(alice, *[part(alice, block) for block in blocks])
    assert alice.get(f"/files/{whole}").headers["Content-Type"] == "video/mp4"


def test_the_digest_of_the_whole(tus: Tus) -> None:
    """Declared at the concatenation, verified over all parts."""
    blocks = [random.Random(seed).randbytes(9000) for seed in range(3)]
    blocks[0] = GIF + blocks[0]
    digest = hashlib.sha256(b"".join(blocks)).hexdigest()
    parts = [part(tus, block) for block in blocks]
    wrong = final(parts[::-1][1:], f"Upload-Metadata: {metadata(sha256=digest)}")
    tus.talk(wrong, "415\nLocation: (absent)")
    wrong = final([*parts, parts[0]], f"Upload-Metadata: {metadata(sha256=digest)}")
    tus.talk(wrong, "460\nLocation: (absent)")
    right = final(parts, f"Upload-Metadata: {metadata(sha256=digest)}")
    whole = upload_id(tus.talk(right, "201"))
    assert tus.offset(whole) == sum(map(len, blocks))


def test_a_concatenation_that_is_sent_again(tus: Tus) -> None:
    """The parts are gone by then, so without a key there would be no way to learn the URL."""
    parts = [part(tus, GIF), part(tus, b"-")]
    request = final(parts, "Idempotency-Key: k1")
    first = tus.talk(request, "201\nUpload-Media-Id: (anything)")
    again = tus.talk(request, f"201\nLocation: {first.headers['Location']}")
    assert again.headers["Upload-Concat"] == first.headers["Upload-Concat"]
    assert tus.offset(upload_id(again)) == 12
    tus.talk(final(parts), "404")


def test_below_the_path_of_a_proxy(tmp_path: Path) -> None:
    with make_app(settings(tmp_path, trust_proxy=1)) as app:
        tus = Tus(app)
        one = part(tus, GIF)
        request = f"POST /files/\n{TUS}\nX-Forwarded-Prefix: /media\nX-Forwarded-Host: m.example"
        tus.talk(f"{request}\nUpload-Concat: final;/files/{one}", "400")
        tus.talk(
            f"{request}\nUpload-Concat: final;http://m.example/media/files/{one}",
            "201\nLocation: http://m.example/media/files/...",
        )


def test_a_part_that_was_deleted(tus: Tus) -> None:
    one, two = part(tus, GIF), part(tus, b"-")
    assert tus.delete(two).status_code == 204
    tus.talk(final([one, two]), "404")
    assert tus.offset(one) == 11


def test_a_whole_that_is_deleted(tus: Tus) -> None:
    whole = join(tus, part(tus, GIF))
    assert tus.delete(whole).status_code == 204
    assert tus.head(whole).status_code in (404, 410)
