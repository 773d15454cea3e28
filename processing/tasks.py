"""What jobs do: examine a received file, register a ready one, clear away a deleted one.

A job may stop at any line and run again, also while a slow worker still believes that it
holds it. So the order is fixed, and each step finds its own earlier result:

1. examine        writes only into a private folder
2. place          reserves the names in the record; a repeated job gets the same ones
3. pictures       moved to their reserved names; moved again, they replace their like
4. hand_over      the bytes move by rename; moved already, nothing happens
5. strip          the file without its metadata moves over the one that was handed over; a
                  repetition finds it there, and nothing more to remove
6. ready          one transaction with the register job: from here on a repetition finds the
                  state and stops, and a crash between 4 and 6 repeats 1 on the moved bytes
7. register       tells the posts backend, which knows the medium's id if it was told before
8. registered     the end; a crash between 7 and 8 repeats 7

What takes long is made after the medium is ready, by a job of its own:

1. derive         writes only into a private folder
2. move           to a name that follows from the medium's; moved again, it replaces its like
3. derived        the record gains it; a crash between 2 and 3 repeats 1

Where the record ends at `rejected` or `deleted`, the record is written first and the
files go after it: the repeated job reads the state and removes what is left.
"""

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from processing.catalog import CLEAR, DERIVE, PROCESS, REGISTER, WITH_FILES, Catalog
from processing.declared import Declared
from processing.deriving import products
from processing.examined import Derivative, Examined
from processing.medium import Medium, Place, folder_of
from processing.patience import GiveUp, NotNow
from processing.posting import PostsBackend, Refused
from processing.queue import Job
from processing.reasons import Rejected
from processing.recipe import THUMBNAIL
from processing.shelf import Shelf
from processing.sniff import KINDS
from processing.steps.strip import STRIPPED
from processing.telling import tell

Examine = Callable[[Path, Declared, Path], Examined]
"""Examines a file as declared, and writes its pictures into a folder, as Pipeline.examine does."""
Errand = Callable[[Job], str]

Derive = Callable[[Path, Sequence[Derivative], Path], Sequence[Derivative]]
"""Makes derivatives of a file in a folder, as Deriver.make does."""

JOB_FOLDER_PREFIX = "job-"

_EXTENSIONS = {kind.content_type: kind.extension for kind in KINDS}


class UploadFiles(Protocol):
    """The bytes of finished uploads, wherever they lie."""

    def path(self, upload_id: str) -> Path:
        """Where the bytes are now, before or after `hand_over`."""

    def hand_over(self, upload_id: str, destination: Path) -> None:
        """Move the bytes to `destination` by rename; done already, change nothing.

        Durable on return. After a crash in the middle, the bytes are at one of the two places,
        and a repeated call completes the move.
        """

    def wanted_place(self, upload_id: str) -> str | None:
        """Where a hook wants the finished medium, relative to the folder of all; None if nowhere.

        A path of plain names; its extension means nothing.
        """

    def discard(self, upload_id: str) -> None:
        """Delete the bytes if they are there; the upload's record stays."""


class Tasks:
    """The work behind each kind of job; every method may be repeated."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        examine: Examine,
        files: UploadFiles,
        shelf: Shelf,
        posts: PostsBackend,
        work_dir: Path,
        derive: Derive | None = None,
        others: Mapping[str, Errand] | None = None,
    ) -> None:
        """`work_dir` lies on the filesystem of the shelf, so that results move by rename.

        `others` does the kinds of jobs that are not about a medium.
        """
        self._catalog = catalog
        self._examine = examine
        self._files = files
        self._shelf = shelf
        self._posts = posts
        self._work_dir = work_dir
        self._by_kind = {
            PROCESS: self._process,
            REGISTER: self._register,
            DERIVE: self._derive,
            CLEAR: self._clear,
        }
        self._make = derive
        self._others = dict(others or {})

    def run(self, job: Job) -> str:
        """Do the job and say how it ended.

        NotNow and GiveUp say how further tries are made; any other exception means that it may
        be tried again a few times.
        """
        if job.kind in self._others:
            return self._others[job.kind](job)
        if job.kind not in self._by_kind:
            # Put by a newer version, whose workers may be about to start.
            raise NotNow(f"This worker does not know jobs of the kind {job.kind!r}.")
        medium = self._medium(str(job.payload["media_id"]))
        try:
            self._by_kind[job.kind](medium)
        except Refused as refusal:
            self._catalog.failed(job, refusal.reason, refusal.error)
        return self._settle(medium)

    def _process(self, medium: Medium) -> None:
        if not self._catalog.processing(medium.id):
            return
        self._work_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=JOB_FOLDER_PREFIX, dir=self._work_dir) as folder:
            source, into = self._files.path(medium.upload_id), Path(folder)
            try:
                examined = self._examine(source, _said(medium), into)
            except Rejected as rejection:
                self._catalog.rejected(medium.id, rejection.reasons)
                return
            tell("place", 1.0)
            place = self._place(medium, examined)
            if examined.thumbnail.status == "ready":
                self._shelf.put(into / THUMBNAIL, place.thumbnail_path)
            derivatives = self._shelve(examined.derivatives, into, place.path)
            self._files.hand_over(medium.upload_id, self._shelf.prepare(place.path))
            if examined.stripped:
                self._shelf.put(into / STRIPPED, place.path)
        self._catalog.ready(medium.id, replace(examined, derivatives=derivatives))

    def _place(self, medium: Medium, examined: Examined) -> Place:
        choices = self._shelf.destinations(
            medium.owner,
            medium.created_at,
            medium.file_name,
            _EXTENSIONS[examined.content_type],
            medium.upload_id,
            _EXTENSIONS[examined.thumbnail.content_type],
            wanted=self._files.wanted_place(medium.upload_id),
        )
        was = medium.thumbnail_path
        if was is not None and Path(was).suffix != Path(choices[0].thumbnail_path).suffix:
            # It was made in the format of another setting, and nobody will know its name.
            self._shelf.remove([was])
        source = self._files.path(medium.upload_id)
        return self._catalog.place(medium.id, self._shelf.free(choices, source))

    def _shelve(
        self, derivatives: Iterable[Derivative], made_in: Path, path: str
    ) -> tuple[Derivative, ...]:
        """Move what is ready to the folder of the medium at `path`; all, with their paths."""
        shelved = []
        for each in derivatives:
            final = f"{folder_of(path)}/{each.path}"
            if each.status == "ready":
                self._shelf.put(made_in / each.path, final)
            shelved.append(replace(each, path=final))
        return tuple(shelved)

    def _register(self, medium: Medium) -> None:
        if medium.status not in ("ready", "failed"):
            return
        tell("register")
        try:
            backend_id = self._posts.register(medium)
        except Rejected as rejection:
            self._catalog.refused(medium.id, rejection.reasons)
            return
        self._catalog.registered(medium.id, backend_id)

    def _derive(self, medium: Medium) -> None:
        """Make what is pending, one after the other; each is in the record once it is there."""
        if self._make is None or medium.path is None:
            raise NotNow("This worker makes no derivatives.")
        self._work_dir.mkdir(parents=True, exist_ok=True)
        for wanted in products(medium.derivatives):
            if self._medium(medium.id).status not in WITH_FILES:
                return
            with tempfile.TemporaryDirectory(
                prefix=JOB_FOLDER_PREFIX, dir=self._work_dir
            ) as folder:
                made = self._make(self._shelf.full(medium.path), wanted, Path(folder))
                shelved = self._shelve(made, Path(folder), medium.path)
            if not self._catalog.derived(medium.id, shelved):
                # Its files are gone, or about to go, and nobody else knows of this one.
                self._shelf.remove([folder_of(medium.path)])
                return

    def _clear(self, medium: Medium) -> None:
        """Nothing beyond what `_settle` does for a medium that is deleted."""

    def _settle(self, medium: Medium) -> str:
        """The state that was reached, by us or by another; bytes that it forbids are removed."""
        status = self._medium(medium.id).status
        if status in ("rejected", "deleted"):
            self._files.discard(medium.upload_id)
            self._shelf.remove(self._medium(medium.id).paths)
        return status

    def _medium(self, media_id: str) -> Medium:
        medium = self._catalog.get(media_id)
        if medium is None:
            raise GiveUp(f"There is no medium {media_id}; its job has nothing to work on.")
        return medium


def _said(medium: Medium) -> Declared:
    return Declared(file_name=medium.file_name, content_type=medium.content_type)
