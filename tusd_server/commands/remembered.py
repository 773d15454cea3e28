"""Uploads that began: which URL a file has at which server, kept from one run to the next."""

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from tusclient.storage.filestorage import FileStorage

from tusd_server.errors import BadSetting


def default_path(environ: Mapping[str, str]) -> Path:
    """The user's own file of uploads that began, by the XDG rules."""
    state = environ.get("XDG_STATE_HOME", "")
    home = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    return home / "tusd-server" / "uploads.json"


def fingerprint(path: Path, found: os.stat_result, *aims: str | None) -> str:
    """What makes this upload this one: where the file lies, its size and time, and the aims.

    tuspy's own takes the size and the first 64 KiB, which two videos of one camera can share.
    """
    facts = (os.fspath(path.resolve()), found.st_size, found.st_mtime_ns, *aims)
    return hashlib.sha256(repr(facts).encode("utf-8", "surrogatepass")).hexdigest()


class Remembered:
    """tuspy's FileStorage, opened for one look at a time so that several programs may share it."""

    def __init__(self, path: Path) -> None:
        """Make the place ready; raises BadSetting, now or later, when it cannot be used."""
        self._path = path
        # Found out by writing, before there is an upload that could not be remembered.
        self.forget("")

    def get(self, key: str) -> str | None:
        """The URL of the upload with this fingerprint."""
        with self._locked():
            if not self._path.exists():
                return None
            with self._storage(self._path) as storage:
                url: str | None = storage.get_item(key)
                return url

    def put(self, key: str, url: str) -> None:
        """Remember the upload."""
        with self._copy() as storage:
            storage.set_item(key, url)

    def forget(self, key: str) -> None:
        """Remember it no more; no error if it never was."""
        with self._copy() as storage:
            storage.remove_item(key)

    @contextlib.contextmanager
    def _copy(self) -> Iterator[FileStorage]:
        """A copy to change, which then takes the file's place.

        tuspy rewrites a file in place, and Ctrl-C in the middle of that would spoil it.
        """
        with self._locked():
            copy = self._path.with_name(f".{self._path.name}.new")
            os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
            if self._path.exists():
                shutil.copyfile(self._path, copy)
            with self._storage(copy) as storage:
                yield storage
            copy.replace(self._path)

    @contextlib.contextmanager
    def _storage(self, path: Path) -> Iterator[FileStorage]:
        storage = FileStorage(str(path))  # type: ignore[no-untyped-call]
        try:
            yield storage
        except (ValueError, AttributeError, TypeError):
            raise BadSetting(
                f"{self._path} is not a list of uploads that began; move it away, or name "
                "another place with --resume-file."
            ) from None
        finally:
            storage.close()  # type: ignore[no-untyped-call]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Take turns with other programs; the lock is on the folder, so it leaves no litter."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with contextlib.ExitStack() as stack:
                folder = os.open(self._path.parent, os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, folder)
                fcntl.flock(folder, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise BadSetting(
                f"{self._path} cannot be used ({(error.strerror or str(error)).lower()}); "
                "name another place with --resume-file."
            ) from None
