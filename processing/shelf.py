"""Where finished media lie: `uploads/<user folder>/<YYYYMMDD_HHMMSS>_<safe name>`.

The thumbnail lies beside the file as `<stem>.thumb.jpg`, and what else was made of it in the
folder `<stem>.more`.
"""

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from processing.medium import FOLDER_SUFFIX, Place

UPLOADS = "uploads"
NAME_BYTES = 100
TOKEN_LENGTH = 8

_PLAIN_USER = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._@-]{0,63}")
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,5}$")
# Characters that a shell, Windows or a URL would take for something else than a name.
_LIKE_OURS = re.compile(re.escape(FOLDER_SUFFIX) + "(?=/|$)", re.IGNORECASE)
_AWKWARD = re.compile(r"""[\s<>:"'|?*$&;`#%{}\[\]^~!()=+,]+""")


class Shelf:
    """The finished files of one data directory, each with its thumbnail beside it."""

    def __init__(self, data_dir: Path) -> None:
        """Create nothing yet; folders appear with their first file."""
        self._data_dir = data_dir.resolve()
        self._root = self._data_dir / UPLOADS

    def destinations(
        self,
        owner: str,
        created_at: datetime,
        file_name: str | None,
        extension: str,
        token: str,
        thumbnail_extension: str = ".jpg",
        *,
        wanted: str | None = None,
    ) -> Sequence[Place]:
        """The places for a medium, best first; the last one is its alone.

        All come from the upload's own facts, so a job that runs again arrives at the same
        ones. `token` is the upload's id; only the last place shows a part of it, since two
        phones' `image.jpg` in one second are rare, and a clean name is worth having.

        `wanted` is a path of plain names below `uploads` that takes the place of all this; its
        last name is made harmless as a client's is, with the true extension.
        """
        own = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()[:TOKEN_LENGTH]
        if wanted is None:
            folder = f"{UPLOADS}/{user_folder(owner)}"
            moment = created_at.astimezone(UTC).strftime("%Y%m%d_%H%M%S")
            stem = f"{moment}_{safe_name(file_name, extension).removesuffix(extension)}"
        else:
            inner, _, last = wanted.rpartition("/")
            # A folder must not be taken for that of another medium's derivatives.
            inner = _LIKE_OURS.sub("_more", inner)
            folder = f"{UPLOADS}/{inner}" if inner else UPLOADS
            stem = safe_name(last, extension).removesuffix(extension)
        stems = [f"{folder}/{each}" for each in (stem, f"{stem}-{own}")]
        return [Place(each + extension, f"{each}.thumb{thumbnail_extension}") for each in stems]

    def free(self, choices: Sequence[Place], source: Path) -> Sequence[Place]:
        """Those of `choices` whose names hold no other file than `source`; always the last one.

        A file that no record knows can lie there after a power cut took the record. If it is the
        very file that is being placed, it stays; if not, it must not be overwritten.
        """
        *others, own = choices
        return [place for place in others if not self._holds_another(place, source)] + [own]

    def full(self, path: str) -> Path:
        """The absolute path; ValueError for one that leads out of the uploads folder."""
        full = self._data_dir / path
        # The folder is resolved, not the file: a file that is a link is removed, not followed.
        if ".." in full.parts or not full.parent.resolve().is_relative_to(self._root):
            raise ValueError(f"{path!r} is not below {self._root}; nothing was touched.")
        return full

    def prepare(self, path: str) -> Path:
        """The absolute path, with its folder there."""
        full = self.full(path)
        full.parent.mkdir(parents=True, exist_ok=True)
        return full

    def put(self, source: Path, path: str) -> None:
        """Move a finished file of the same filesystem to its place, durably."""
        full = self.prepare(path)
        _sync(source)
        source.replace(full)
        _sync(full.parent)
        # The folder itself may be new.
        _sync(full.parent.parent)

    def remove(self, paths: Iterable[str]) -> int:
        """Delete the files that are there, folders of derivatives with all in them; how many files.

        ValueError, before anything is deleted, if one leads out of the uploads folder.
        """
        return sum([_removed(full) for full in [self.full(path) for path in paths]])

    def _holds_another(self, place: Place, source: Path) -> bool:
        full = self.full(place.path)
        return os.path.lexists(full) and not (source.exists() and full.samefile(source))


def safe_name(file_name: str | None, extension: str) -> str:
    """A name for a file of this kind: the client's, made harmless, with the true extension.

    NFC, one path component, no control or invisible characters, no leading dot, at most 100 bytes
    of UTF-8 with the extension; `file` where nothing is left.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", file_name or ""))[-1]
    visible = "".join(c for c in last if c.isspace() or unicodedata.category(c)[0] != "C")
    stem = _AWKWARD.sub("_", _EXTENSION.sub("", visible.strip())).strip("._")
    cut = stem.encode()[: NAME_BYTES - len(extension)].decode("utf-8", "ignore").rstrip("._")
    return (cut or "file") + extension


def user_folder(owner: str) -> str:
    """One folder for one user and no other: the plain name, or `~` and a hash of any other.

    A plain name has no `~`, so nobody can choose a name that is another one's hash.
    """
    if _PLAIN_USER.fullmatch(owner):
        return owner
    return "~" + hashlib.sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()


def _removed(full: Path) -> int:
    try:
        if full.suffix != FOLDER_SUFFIX or not full.is_dir() or full.is_symlink():
            full.unlink()
            return 1
        removed = sum([_removed(each) for each in full.iterdir()])
        full.rmdir()
    except FileNotFoundError:
        return 0
    return removed


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
