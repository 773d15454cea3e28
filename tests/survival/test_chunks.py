"""Chunks in random orders, cut, doubled and among tus bytes, with deaths at every file call."""

import hashlib
import itertools
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hooks.events import RequestFacts
from tests.records import START
from tests.survival.given import Given, Recorder
from tests.survival.mortal import Death, death_after
from tusd_server.errors import (
    BadHeader,
    BodyCut,
    ChecksumMismatch,
    UploadNotFound,
)
from tusd_server.hashing import Checksum
from tusd_server.locks import MemoryLocker
from tusd_server.settings import Durability
from tusd_server.storage.filesystem import FilesystemStore
from tusd_server.uploads.chunked import Chunked, Progress
from tusd_server.uploads.receiving import Proof
from tusd_server.uploads.service import Uploads

ALICE = "alice"
REQUEST = RequestFacts("", "", "")
MAX_SIZE = 100_000
EXAMPLES = 250
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
# Most live: an upload needs many calls to get anywhere.
DEATHS = st.sampled_from([None] * 6 + list(range(8)))
SIZES = st.sampled_from([9000, 500, 4097, 7, 1])
DIGEST = st.sampled_from([None, None, "right", "wrong"])


@dataclass
class Model:
    """What the client of one upload knows.

    `told` are the bytes that the server said are here, `sent` those that may be.
    """

    id: str
    plan: bytes
    chunk_size: int
    wrong: bool
    told: set[int] = field(default_factory=set)
    sent: set[int] = field(default_factory=set)
    may_be_gone: bool = False
    complete: bool = False
    refused: bool = False

    @property
    def total(self) -> int:
        return -(-len(self.plan) // self.chunk_size)

    def place(self, index: int) -> range:
        start = index * self.chunk_size
        return range(start, min(start + self.chunk_size, len(self.plan)))

    def chunk(self, index: int) -> bytes:
        place = self.place(index)
        return self.plan[place.start : place.stop]


class Chunks(RuleBasedStateMachine):
    """Every rule may end with the death of the process."""

    uploads = Bundle("uploads")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="tusd-chunks-", dir=MEMORY))
        self.numbers = itertools.count()
        self.boots = itertools.count(1)
        self.boot = b"0"
        self.models: dict[str, Model] = {}
        self.recorder = Recorder(lambda: self.store)
        self.named = mock.patch(
            "tusd_server.storage.chunks.this_boot", side_effect=lambda: self.boot
        )
        self.named.start()
        self.restart()

    def teardown(self) -> None:
        try:
            for model in list(self.models.values()):
                self.complete(model)
            for stray in self.store.orphans(0):
                stray.unlink()
            self.sweep()
            # A death in a refusal leaves the bytes to the time when that is forgotten.
            noted = {path.name for path in (self.folder / ".tusd-server" / "chunks").iterdir()}
            assert noted <= {model.id for model in self.models.values() if model.refused}
        finally:
            self.named.stop()
            shutil.rmtree(self.folder)

    def sweep(self) -> None:
        self.store.forget(gone_since=START, finished_since=START)

    def restart(self) -> None:
        """A process starts over what is there."""
        self.store = FilesystemStore(self.folder, durability="none")
        self.service = Uploads(
            self.store,
            MemoryLocker(timeout_seconds=0.1),
            self.recorder,
            max_size=MAX_SIZE,
            new_id=self.new_id,
        )
        self.chunked = Chunked(self.service)

    @rule()
    def reboot(self) -> None:
        """The machine starts again; what was noted and not synced is no longer believed."""
        self.sweep()
        self.boot = b"%d" % next(self.boots)
        for model in self.models.values():
            if not model.complete:
                model.told.clear()
        self.restart()

    def new_id(self) -> str:
        return f"{next(self.numbers):032x}"

    def mortally(self, work: Callable[[], object], death: int | None, torn: bool = False) -> bool:
        """Do the work; whether the process lived through it."""
        with death_after(death, torn=torn) as died:
            try:
                work()
            except Death:
                pass
            finally:
                dead = died()
        if dead:
            self.restart()
        return not dead

    @precondition(lambda self: len(self.models) < 2)
    @rule(
        target=uploads,
        size=SIZES,
        chunks=st.sampled_from([3, 4, 5, 2, 1]),
        digest=DIGEST,
        death=DEATHS,
        seed=st.integers(0, 999),
    )
    def begin(
        self, size: int, chunks: int, digest: str | None, death: int | None, seed: int
    ) -> object:
        plan = random.Random(seed).randbytes(size)
        said = {
            None: None,
            "right": hashlib.sha256(plan).hexdigest(),
            "wrong": hashlib.sha256(b"else").hexdigest(),
        }[digest]
        chunk_size = -(-size // chunks)
        model = Model(self.new_id(), plan, chunk_size, digest == "wrong")
        # The service takes the next number, which is this one again.
        self.numbers = itertools.count(int(model.id, 16))
        lived = self.mortally(
            lambda: self.chunked.begin(ALICE, size, chunk_size, "", REQUEST, sha256=said), death
        )
        model.may_be_gone = not lived
        self.models[model.id] = model
        self.compare(model)
        return model if model.id in self.models else multiple()

    @rule(
        model=uploads,
        number=st.sampled_from([2, 1, 3, 0, 4]),
        manner=st.sampled_from(["whole"] * 4 + ["cut", "short"]),
        before=st.lists(st.sampled_from([1, 2, 3, 4, 0]), max_size=2),
        death=DEATHS,
        torn=st.booleans(),
    )
    def put_some(
        self,
        model: Model,
        number: int,
        manner: str,
        before: list[int],
        death: int | None,
        torn: bool,
    ) -> None:
        """Chunks that all go well, and one that may not."""
        for each in before:
            self.put(model, each, "whole", None, False)
        self.put(model, number, manner, death, torn)

    def put(self, model: Model, number: int, manner: str, death: int | None, torn: bool) -> None:
        """Any chunk, here or not, whole or not."""
        if model.id not in self.models or model.refused:
            return
        index = number % model.total
        whole = model.chunk(index)
        body = whole if manner == "whole" else whole[: len(whole) // 2]
        given = Given(body, manner == "cut", None if manner == "short" else len(whole))
        here = set(model.place(index)) <= model.told
        if manner == "whole":
            model.sent |= set(model.place(index))
        progress: list[Progress] = []
        try:
            lived = self.mortally(
                lambda: progress.append(self.chunked.put(model.id, ALICE, index, given, REQUEST)),
                death,
                torn,
            )
        except (BodyCut, BadHeader):
            assert manner != "whole"
        except ChecksumMismatch:
            assert model.wrong
            assert self.would_be_whole(model)
            model.refused = True
        else:
            if lived:
                assert here or manner == "whole" or index not in progress[0].missing
                assert index not in progress[0].missing
                model.told |= set(model.place(index))
        self.compare(model)

    @rule(
        model=uploads,
        share=st.sampled_from([4, 1, 2, 3]),
        checksum=st.sampled_from([None, None, "right", "damaged"]),
        cut=st.sampled_from([False, False, True]),
        death=DEATHS,
        torn=st.booleans(),
    )
    def append(
        self,
        model: Model,
        share: int,
        checksum: str | None,
        cut: bool,
        death: int | None,
        torn: bool,
    ) -> None:
        """tus bytes from the first hole on, over whatever chunks follow it."""
        if model.id not in self.models or model.refused or model.complete:
            return
        start = self.store.look(model.id).offset
        size = -(-(len(model.plan) - start) * share // 4)
        block = model.plan[start : start + size]
        data = block[: size // 2] if cut and size > 1 else block
        cut = len(data) < len(block)
        proof = Proof()
        if checksum is not None:
            proof = Proof(Checksum("sha1", hashlib.sha1(block).digest()))
        if checksum == "damaged":
            data = bytes(byte ^ 255 for byte in data)
        else:
            model.sent |= set(range(start, start + len(data)))
        given = Given(data, cut, size)
        counts = checksum is None
        try:
            lived = self.mortally(
                lambda: self.service.append(model.id, ALICE, start, given, REQUEST, proof=proof),
                death,
                torn,
            )
            assert not lived or (not cut and checksum != "damaged")
            counts = lived
        except BodyCut:
            assert cut
        except ChecksumMismatch:
            model.refused = model.wrong and checksum != "damaged"
            assert model.refused or (checksum == "damaged" and not cut)
            counts = False
        else:
            counts = counts and lived
        if counts and not model.refused:
            model.told |= set(range(start, start + len(data)))
        self.compare(model)

    @rule(model=consumes(uploads), death=DEATHS)
    def delete(self, model: Model, death: int | None) -> None:
        """Gone, or as if nobody had asked."""
        if model.id not in self.models:
            return
        lived = self.mortally(
            lambda: self.service.terminate(model.id, ALICE, Given(b""), REQUEST), death
        )
        model.may_be_gone = True
        if lived:
            del self.models[model.id]

    @rule(model=uploads, death=DEATHS)
    def hand_over(self, model: Model, death: int | None) -> None:
        """The bytes move to their final place."""
        if model.id in self.models and model.complete:
            self.mortally(lambda: self.move(model), death)
            self.compare(model)

    def move(self, model: Model) -> None:
        self.store.hand_over(self.store.look(model.id), self.folder / "uploads" / model.id)

    def would_be_whole(self, model: Model) -> bool:
        return len(model.sent) == len(model.plan)

    @invariant()
    def nothing_is_lost(self) -> None:
        for model in list(self.models.values()):
            self.compare(model)

    def compare(self, model: Model) -> None:
        """What is told to be here is here, byte by byte, and nothing that nobody sent."""
        if model.id not in self.models:
            return
        try:
            progress = self.chunked.progress(model.id, ALICE)
        except ChecksumMismatch:
            assert model.wrong
            model.refused = True
            return
        except UploadNotFound:
            assert model.may_be_gone, f"{model.id} is lost."
            del self.models[model.id]
            return
        model.may_be_gone = False
        assert not model.refused
        here = set(range(progress.info.offset))
        for index in set(range(model.total)) - {*progress.missing}:
            here |= set(model.place(index))
        assert model.told <= here, "Bytes that were acknowledged are missing."
        assert here <= model.sent, "Bytes that nobody sent count."
        assert progress.received_bytes == len(here)
        stored = self.store.path(progress.info).read_bytes()
        for index in set(range(model.total)) - {*progress.missing}:
            place = model.place(index)
            assert stored[place.start : place.stop] == model.chunk(index)
        assert stored[: progress.info.offset] == model.plan[: progress.info.offset]
        self.compare_end(model, progress)

    def compare_end(self, model: Model, progress: Progress) -> None:
        assert progress.info.finished == (progress.missing == ())
        assert not model.complete or progress.info.finished, "It was complete before."
        if progress.info.finished:
            assert not model.wrong, "A file with another digest counts as complete."
            assert self.store.path(progress.info).read_bytes() == model.plan
            model.complete = True
            model.told = set(range(len(model.plan)))

    def complete(self, model: Model) -> None:
        """A client that goes on gets there, and what it sent is handed over once."""
        if model.refused:
            return
        with suppress(ChecksumMismatch):
            for index in self.chunked.progress(model.id, ALICE).missing:
                model.sent |= set(model.place(index))
                chunk = model.chunk(index)
                self.chunked.put(model.id, ALICE, index, Given(chunk, False, len(chunk)), REQUEST)
        self.compare(model)
        assert model.complete != model.wrong
        if model.complete:
            self.chunked.finish(model.id, ALICE, REQUEST)
            assert self.recorder.finished[model.id] == hashlib.sha256(model.plan).hexdigest()
            for death in itertools.count():
                if self.mortally(lambda: self.move(model), death):
                    break
                self.compare(model)


def test_chunks_survive() -> None:
    run_state_machine_as_test(
        Chunks,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("by", ["chunk", "tus", "tus with a checksum"])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("durability", ["none", "finish", "chunk"])
def test_death_at_every_call(tmp_path: Path, durability: Durability, last: bool, by: str) -> None:
    """A chunk counts or does not, an upload is complete or not, and whoever sends again ends it."""
    plan = random.Random(5).randbytes(5000)
    digest = hashlib.sha256(plan).hexdigest()
    for death in itertools.count():
        store = FilesystemStore(tmp_path / str(death), durability=durability)
        recorder = Recorder(lambda store=store: store)  # type: ignore[misc]

        def open_again(
            store: FilesystemStore = store, recorder: Recorder = recorder
        ) -> tuple[Uploads, Chunked]:
            locker = MemoryLocker(timeout_seconds=0.1)
            uploads = Uploads(store, locker, recorder, max_size=MAX_SIZE, new_id=lambda: "u1")
            return uploads, Chunked(uploads)

        uploads, chunked = open_again()
        chunked.begin(ALICE, 5000, 2000, "", REQUEST, sha256=digest)

        def put(index: int, chunked: Chunked = chunked) -> Progress:
            chunk = plan[index * 2000 : (index + 1) * 2000]
            given = Given(chunk, length=len(chunk))
            return chunked.put("u1", ALICE, index, given, REQUEST)

        for index in (1, 2) if last else (1,):
            put(index)
        with death_after(death, torn=death % 2 == 1) as died, suppress(Death):
            if by == "chunk":
                put(0)
            else:
                sum_ = Checksum("sha1", hashlib.sha1(plan[:2000]).digest())
                proof = Proof(sum_) if by == "tus with a checksum" else Proof()
                uploads.append("u1", ALICE, 0, Given(plan[:2000]), REQUEST, proof=proof)
        uploads, chunked = open_again()
        progress = chunked.progress("u1", ALICE)
        assert progress.info.finished == (progress.missing == ())
        assert set(progress.missing) <= ({0} if last else {0, 2})
        assert died() or progress.missing == (() if last else (2,))
        for index in progress.missing:
            put(index, chunked)
        assert chunked.finish("u1", ALICE, REQUEST).info.finished
        assert store.path(store.look("u1")).read_bytes() == plan
        assert recorder.finished == {"u1": digest}
        if not died():
            break
    assert death > 2
