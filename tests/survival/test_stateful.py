"""Random requests and deaths against a simple model of what an upload must remember."""

import hashlib
import itertools
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from hooks.events import RequestFacts
from tests.survival.given import Given, Recorder
from tests.survival.mortal import Death, death_after
from tests.survival.persistent import DIGESTS
from tusd_server.errors import (
    BodyCut,
    ChecksumMismatch,
    OffsetMismatch,
    UploadError,
    UploadNotFound,
)
from tusd_server.hashing import Checksum
from tusd_server.locks import MemoryLocker
from tusd_server.storage.filesystem import FilesystemStore
from tusd_server.uploads.receiving import Proof
from tusd_server.uploads.service import Uploads, Wanted

ALICE = "alice"
REQUEST = RequestFacts("", "", "")
MAX_SIZE = 100_000
EXAMPLES = 250
# Thousands of small files: nothing here is about a loss of power.
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
DEATHS = st.none() | st.integers(0, 9)
SIZES = st.sampled_from([0, 1, 7, 500, 4096, 9000])


@dataclass
class Model:
    """What the client of one upload knows.

    The upload stands somewhere from `least` to `most`; a crash makes these differ, and the next
    look brings them together.
    """

    id: str
    plan: bytes
    length: int | None
    partial: bool = False
    # The declared SHA-256 is that of other bytes, so the upload may never be complete.
    wrong: bool = False
    declared: bool = False
    parts: tuple["Model", ...] = ()
    least: int = 0
    most: int = 0
    may_be_gone: bool = False
    refused: bool = False
    joined: bool = False
    only: tuple[int, ...] | None = None

    @property
    def complete(self) -> bool:
        return not self.refused and self.least == self.length


class Survival(RuleBasedStateMachine):
    """Every rule may end with the death of the process."""

    uploads = Bundle("uploads")
    parts = Bundle("parts")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="tusd-stateful-", dir=MEMORY))
        self.numbers = itertools.count()
        self.models: dict[str, Model] = {}
        self.recorder = Recorder(lambda: self.store)
        self.last_id = ""
        self.restart()

    def teardown(self) -> None:
        try:
            self.end_well()
        finally:
            shutil.rmtree(self.folder)

    def end_well(self) -> None:
        for model in list(self.models.values()):
            self.complete(model)
        strays = {path.name for path in self.store.orphans(0)}
        for stray in strays:
            (self.folder / stray).unlink()
        noted = {path.name for path in (self.folder / ".tusd-server" / "unverified").iterdir()}
        complete = {model.id for model in self.models.values() if model.complete}
        assert not noted & complete

    @rule()
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

    def new_id(self) -> str:
        self.last_id = f"{next(self.numbers):032x}"
        return self.last_id

    def mortally(self, work: Callable[[], object], death: int | None, torn: bool = False) -> bool:
        """Do the work; whether the process lived through it. UploadErrors go on to the caller."""
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

    @rule(
        target=uploads,
        size=SIZES,
        deferred=st.booleans(),
        digest=st.sampled_from([None, "right", "wrong"]),
        with_bytes=st.booleans(),
        death=DEATHS,
        seed=st.integers(0, 999),
    )
    def create(
        self,
        size: int,
        deferred: bool,
        digest: str | None,
        with_bytes: bool,
        death: int | None,
        seed: int,
    ) -> object:
        return self.make(size, deferred, digest, with_bytes, death, seed, partial=False)

    @rule(target=parts, size=SIZES, death=DEATHS, seed=st.integers(0, 999))
    def create_part(self, size: int, death: int | None, seed: int) -> object:
        return self.make(size, False, None, False, death, seed, partial=True)

    def make(
        self,
        size: int,
        deferred: bool,
        digest: str | None,
        with_bytes: bool,
        death: int | None,
        seed: int,
        *,
        partial: bool,
    ) -> object:
        plan = random.Random(seed).randbytes(size)
        true = hashlib.sha256(plan).hexdigest()
        said = {None: None, "right": true, "wrong": hashlib.sha256(b"else").hexdigest()}[digest]
        length = None if deferred else size
        wanted = Wanted(length, sha256=said, partial=partial)
        body = Given(plan[: size // 2]) if with_bytes else None
        model = Model(self.new_id(), plan, length, partial=partial, wrong=digest == "wrong")
        # The service takes the next number, which is this one again.
        self.numbers = itertools.count(int(model.id, 16))
        model.declared = digest is not None
        model.most = size // 2 if with_bytes else 0
        if size == 0 and digest == "wrong":
            return multiple()
        lived = self.mortally(lambda: self.service.create(ALICE, wanted, body, REQUEST), death)
        model.may_be_gone = not lived
        model.least = model.most if lived else 0
        return self.adopt(model)

    def adopt(self, model: Model) -> object:
        self.models[model.id] = model
        self.compare(model)
        return model if model.id in self.models else multiple()

    @rule(
        model=uploads | parts,
        share=st.sampled_from([1, 2, 4, 4, 4]),
        checksum=st.sampled_from([None, None, "right", "right", "wrong"]),
        trailing=st.booleans(),
        algorithm=st.sampled_from(sorted(DIGESTS)),
        cut=st.sampled_from([False, False, False, True]),
        death=DEATHS,
        torn=st.booleans(),
    )
    def append(
        self,
        model: Model,
        share: int,
        checksum: str | None,
        trailing: bool,
        algorithm: str,
        cut: bool,
        death: int | None,
        torn: bool,
    ) -> None:
        """A quarter to all of what is missing, whole or cut, checked or damaged."""
        if not self.is_open(model):
            return
        missing = len(model.plan) - model.least
        block = model.plan[model.least : model.least + -(-missing * share // 4)]
        last = model.least + len(block) == len(model.plan)
        cut = cut and len(block) > 1
        data = block[: len(block) // 2] if cut else block
        proof = Proof()
        if checksum is not None and block:
            digest = DIGESTS[algorithm](block)
            proof = _proof(Checksum(algorithm, digest), trailing)
            if checksum == "wrong":
                data = bytes([data[0] ^ 1]) + data[1:]
        else:
            checksum = None
        end = model.least + (
            len(data) if checksum is None or not (cut or checksum == "wrong") else 0
        )
        told = len(model.plan) if model.length is None and last else None

        def work() -> None:
            body = Given(data, cut, len(block))
            self.service.append(
                model.id, ALICE, model.least, body, REQUEST, length=told, proof=proof
            )

        complete = end == len(model.plan) and (model.length is not None or told is not None)
        try:
            lived = self.mortally(work, death, torn)
            assert not lived or not cut, "A cut body was taken for a whole one."
            assert not lived or checksum != "wrong", "A damaged body was taken."
            assert not lived or not (complete and model.wrong), "A wrong file was taken."
        except BodyCut:
            assert cut
            lived = True
        except ChecksumMismatch:
            assert (checksum == "wrong" and not cut) or (complete and model.wrong)
            lived = True
            model.refused = complete and model.wrong and checksum != "wrong"
        if told is not None:
            model.length = self.length_of(model)
        self.expect_after(model, lived, end, checked=checksum is not None, complete=complete)
        self.compare(model)

    @rule(model=uploads | parts, checksum=st.sampled_from([None, "right"]), death=st.integers(0, 9))
    def finish(self, model: Model, checksum: str | None, death: int) -> None:
        """The last byte is where most can go wrong."""
        self.append(model, 4, checksum, False, "sha1", False, death, False)

    def expect_after(
        self, model: Model, lived: bool, end: int, *, checked: bool, complete: bool
    ) -> None:
        if model.refused:
            return
        if lived:
            model.least = model.most = end
            return
        if model.wrong and complete:
            # It may have been refused, but never is it complete.
            model.refused = self.is_refused(model)
            end = max(model.least, end - 1)
        model.most = max(end, model.least)
        if checked:
            held_back = max(model.least, len(model.plan) - 1)
            model.only = (model.least, end, *((held_back,) if model.declared and complete else ()))

    def is_open(self, model: Model) -> bool:
        settled = model.refused or model.complete or model.parts
        return model.id in self.models and not settled

    def is_refused(self, model: Model) -> bool:
        try:
            self.service.look(model.id, ALICE, REQUEST)
        except ChecksumMismatch:
            return True
        except UploadError:
            return False
        return False

    def length_of(self, model: Model) -> int | None:
        return self.store.look(model.id).length

    @rule(model=uploads, offset=st.integers(0, 10_000))
    def append_elsewhere(self, model: Model, offset: int) -> None:
        """An offset that is not the upload's changes nothing."""
        if not self.is_open(model) or offset == model.least:
            return
        with pytest.raises(OffsetMismatch) as caught:
            self.service.append(model.id, ALICE, offset, Given(b""), REQUEST)
        assert caught.value.offset == model.least

    @rule(model=uploads)
    def ask_as_another(self, model: Model) -> None:
        """Others' uploads do not exist."""
        with pytest.raises(UploadNotFound):
            self.service.look(model.id, "bob", REQUEST)

    @rule(
        target=uploads,
        chosen=st.lists(consumes(parts), min_size=1, max_size=3, unique_by=id),
        digest=st.sampled_from([None, "right", "wrong"]),
        death=DEATHS,
    )
    def join(self, chosen: list[Model], digest: str | None, death: int | None) -> object:
        """Make one upload of parts, before or after these are complete."""
        chosen = [part for part in chosen if part.id in self.models]
        plan = b"".join(part.plan for part in chosen)
        if not chosen or (not plan and digest == "wrong"):
            return multiple()
        said = {
            None: None,
            "right": hashlib.sha256(plan).hexdigest(),
            "wrong": hashlib.sha256(b"else").hexdigest(),
        }[digest]
        ids = tuple(part.id for part in chosen)
        wanted = Wanted(None, sha256=said, concat="final;" + " ".join(ids), parts=ids)
        model = Model(self.new_id(), plan, len(plan), wrong=digest == "wrong", parts=tuple(chosen))
        self.numbers = itertools.count(int(model.id, 16))
        model.declared = digest is not None
        model.may_be_gone = True
        refused = False
        try:
            lived = self.mortally(lambda: self.service.create(ALICE, wanted, None, REQUEST), death)
        except ChecksumMismatch:
            assert model.wrong
            lived = refused = True
        model.may_be_gone = refused or not lived
        self.models[model.id] = model
        self.compare(model)
        return model if model.id in self.models else multiple()

    @rule(model=consumes(uploads), death=DEATHS)
    def delete(self, model: Model, death: int | None) -> None:
        """Gone, or as if nobody had asked; a part of it is never left to see."""
        if model.id not in self.models:
            return
        lived = self.mortally(
            lambda: self.service.terminate(model.id, ALICE, Given(b""), REQUEST), death
        )
        model.may_be_gone = True
        if lived:
            del self.models[model.id]
            with pytest.raises(UploadNotFound):
                self.store.look(model.id)

    @rule(model=uploads, death=DEATHS)
    def hand_over(self, model: Model, death: int | None) -> None:
        """The bytes move to their final place; HEAD never sees them nowhere."""
        if model.id in self.models and model.complete:
            self.mortally(lambda: self.move(model), death)
            self.compare(model)
            assert model.complete

    def move(self, model: Model) -> None:
        self.store.hand_over(self.store.look(model.id), self.folder / "uploads" / model.id)

    @rule(model=uploads | parts, death=DEATHS)
    def look_mortally(self, model: Model, death: int | None) -> None:
        """HEAD joins what a crash left unjoined, and may die of it."""
        if model.id in self.models and not model.refused:
            with suppress(ChecksumMismatch, UploadNotFound):
                self.mortally(lambda: self.service.look(model.id, ALICE, REQUEST), death)
            self.compare(model)

    @invariant()
    def nothing_is_lost(self) -> None:
        for model in list(self.models.values()):
            self.compare(model)

    def compare(self, model: Model) -> None:
        """Look, and bring the model together with what is there, if that is possible at all."""
        if model.parts:
            self.compare_whole(model)
            return
        try:
            info = self.service.look(model.id, ALICE, REQUEST).info
        except ChecksumMismatch:
            assert model.refused
            return
        except UploadNotFound:
            assert model.may_be_gone or self.is_consumed(model), f"{model} is lost."
            del self.models[model.id]
            return
        assert not model.refused
        assert model.least <= info.offset <= model.most, (info, model)
        assert model.only is None or info.offset in model.only, (info, model)
        assert not (info.finished and model.wrong), "A file with another digest counts as complete."
        model.least = model.most = info.offset
        model.may_be_gone, model.only = False, None
        stored = self.store.path(info).read_bytes()
        assert stored[: info.offset] == model.plan[: info.offset]
        if info.finished:
            assert stored == model.plan

    def compare_whole(self, model: Model) -> None:
        try:
            info = self.service.look(model.id, ALICE, REQUEST).info
        except ChecksumMismatch:
            assert model.wrong
            model.refused = True
            return
        except UploadNotFound:
            assert model.may_be_gone, f"{model} is lost."
            del self.models[model.id]
            return
        model.may_be_gone = False
        assert not model.refused
        assert info.finished or info.offset == 0 or model.declared, info
        assert not (info.finished and model.wrong), "A file with another digest counts as complete."
        if info.finished:
            assert self.store.path(info).read_bytes() == model.plan
            model.least = model.most = len(model.plan)
            model.joined = True
        else:
            assert not all(part.complete for part in model.parts), "Finished parts stay unjoined."

    def move_through_every_death(self, model: Model) -> None:
        for death in itertools.count():
            lived = self.mortally(lambda: self.move(model), death)
            self.compare(model)
            assert model.complete
            if lived:
                break
        assert not (self.folder / model.id).exists()

    def is_consumed(self, part: Model) -> bool:
        """Whether a whole that was made of this part is complete."""
        wholes = [model for model in self.models.values() if part in model.parts]
        for whole in wholes:
            self.compare_whole(whole)
        return any(whole.joined for whole in wholes)

    def complete(self, model: Model) -> None:
        """A client that goes on in the end gets there, and what it sent is handed over once."""
        if model.id not in self.models or model.refused:
            return
        if not model.parts and not model.complete:
            block = model.plan[model.least :]
            try:
                self.service.append(
                    model.id,
                    ALICE,
                    model.least,
                    Given(block, length=len(block)),
                    REQUEST,
                    length=len(model.plan),
                )
            except ChecksumMismatch:
                assert model.wrong
                return
            model.least = model.most = model.length = len(model.plan)
        self.compare(model)
        if model.complete and not model.partial:
            digest = self.recorder.finished.get(model.id)
            assert digest in (None, hashlib.sha256(model.plan).hexdigest())
            self.move_through_every_death(model)


def _proof(checksum: Checksum, trailing: bool) -> Proof:
    return Proof(trailing=lambda: checksum) if trailing else Proof(checksum)


def test_survival() -> None:
    run_state_machine_as_test(
        Survival,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
