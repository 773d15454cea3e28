"""Against ClamAV's own daemon, with a signature of our own; the odd answers against a dummy."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from processing.clamd import Address, Clamd, Verdict
from processing.declared import Declared
from processing.limits import Limits
from processing.patience import NotNow
from processing.pipeline import Pipeline
from processing.reasons import Rejected
from processing.tools import Tools
from tests import media
from tests.services import ServiceMissing, clamd, free_port

MARK = b"tusd-server test signature"
CLEAN = Verdict("clean")


@pytest.fixture(scope="module", params=["unix", "tcp"])
def scanner(request: pytest.FixtureRequest) -> Iterator[Clamd]:
    try:
        port = free_port() if request.param == "tcp" else None
        with clamd({"Tusd.Test": MARK}, tcp=port, StreamMaxLength="1M") as place:
            yield Clamd(Address.from_text(place))
    except ServiceMissing as missing:
        pytest.skip(str(missing))


def codes(scanner: Clamd, path: Path, tools: Tools) -> list[str]:
    pipeline = Pipeline(Limits(), tools, 20, clamd=scanner)
    with pytest.raises(Rejected) as caught:
        pipeline.examine(path, Declared(), path.parent)
    return [f"{reason.code}: {reason.message}" for reason in caught.value.reasons]


def marked(path: Path) -> Path:
    media.make_jpeg(path)
    path.write_bytes(path.read_bytes() + MARK)
    return path


def test_a_clean_file_is_clean(scanner: Clamd, tmp_path: Path) -> None:
    assert scanner.scan(media.make_jpeg(tmp_path / "photo")) == CLEAN
    assert scanner.scan(media.make_empty(tmp_path / "nothing")) == CLEAN
    assert scanner.version().startswith("ClamAV ")


def test_what_is_known_is_found_wherever_it_stands(scanner: Clamd, tmp_path: Path) -> None:
    path = tmp_path / "file"
    for before in (0, 7, 256 * 1024 - 10, 700_000):
        path.write_bytes(b"x" * before + MARK + b"y" * 100)
        assert scanner.scan(path) == Verdict("infected", "Tusd.Test.UNOFFICIAL")


def test_a_file_beyond_the_daemons_limit_is_said_to_be(scanner: Clamd, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    assert scanner.scan(path).kind == "too_large"


def test_a_file_of_exactly_the_limit_is_scanned(scanner: Clamd, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(1024 * 1024))
    assert scanner.scan(tmp_path / "file") == CLEAN


def test_an_infected_medium_is_rejected_before_anything_decodes_it(
    scanner: Clamd, tmp_path: Path
) -> None:
    nothing_works = Tools("/nonexistent", "/nonexistent")
    assert codes(scanner, marked(tmp_path / "photo"), nothing_works) == [
        "infected: The virus scanner found Tusd.Test.UNOFFICIAL in the file; send a clean one."
    ]
    clip = media.make_mp4(tmp_path / "clip")
    clip.write_bytes(clip.read_bytes() + MARK)
    assert codes(scanner, clip, nothing_works)[0].startswith("infected")


def test_a_medium_that_cannot_be_scanned_is_rejected(scanner: Clamd, tmp_path: Path) -> None:
    path = media.make_jpeg(tmp_path / "photo")
    path.write_bytes(path.read_bytes() + bytes(2 * 1024 * 1024))
    assert codes(scanner, path, Tools.found()) == [
        "not_scannable: The file is larger than the virus scanner takes; send a smaller one."
    ]


def test_a_clean_medium_passes(scanner: Clamd, tmp_path: Path) -> None:
    pipeline = Pipeline(Limits(), Tools.found(), 20, clamd=scanner)
    path = media.make_jpeg(tmp_path / "photo")
    assert pipeline.examine(path, Declared(), tmp_path).content_type == "image/jpeg"


@pytest.mark.parametrize("place", ["/nonexistent/clamd.ctl", "127.0.0.1:{}"])
def test_a_medium_waits_while_the_daemon_is_away(tmp_path: Path, place: str) -> None:
    away = Clamd(Address.from_text(place.format(free_port())))
    pipeline = Pipeline(Limits(), Tools.found(), 20, clamd=away)
    with pytest.raises(NotNow, match="The virus scanner cannot be asked"):
        pipeline.examine(marked(tmp_path / "photo"), Declared(), tmp_path)


@contextmanager
def dummy(reply: bytes, *, hang_up_after: int = 1 << 30) -> Iterator[Clamd]:
    """A daemon that says this once the stream ends, or hangs up after so many bytes of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection = server.accept()[0]
            with connection:
                seen = b""
                while not seen.endswith(bytes(4)) and len(seen) < hang_up_after:
                    part = connection.recv(65536)
                    if not part:
                        return
                    seen += part
                connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        address = Address(None, "127.0.0.1", server.getsockname()[1])
        yield Clamd(address, answer_seconds=0.5)
        thread.join()


@pytest.mark.parametrize(
    "reply",
    [
        b"stream: Can't allocate memory ERROR\0",
        b"UNKNOWN COMMAND\0",
        b"stream: OK but\0",
        b"",
        b"x" * 10_000,
    ],
)
def test_an_answer_that_is_no_verdict_passes_nothing(tmp_path: Path, reply: bytes) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with dummy(reply) as scanner, pytest.raises(NotNow):
        scanner.scan(tmp_path / "file")


def test_a_daemon_that_hangs_up_in_the_middle_passes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(1, 256)) * 100_000)
    with dummy(b"", hang_up_after=1000) as scanner, pytest.raises(NotNow):
        scanner.scan(tmp_path / "file")


def test_a_limit_that_the_daemon_tells_as_a_finding_is_no_infection(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    name = "Heuristics.Limits.Exceeded.MaxFileSize"
    with dummy(f"stream: {name} FOUND\0".encode()) as scanner:
        assert scanner.scan(tmp_path / "file") == Verdict("too_large", name)


def test_a_silent_daemon_is_not_waited_for_without_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = Address(None, "127.0.0.1", server.getsockname()[1])
        with pytest.raises(NotNow, match="timed out"):
            Clamd(place, answer_seconds=0.2).scan(tmp_path / "file")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("/run/clamav/clamd.ctl", Address("/run/clamav/clamd.ctl")),
        ("localhost:3310", Address(None, "localhost", 3310)),
        ("[::1]:3310", Address(None, "::1", 3310)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert Address.from_text(text) == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["clamd", "clamd.ctl", ":3310", "host:", "host:0", "host:70000"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        Address.from_text(text)
