"""What a dying server is given, and what outlives it."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from hooks.base import Hooks
from hooks.events import HookEvent, HookReply
from tusd_server.storage.filesystem import FilesystemStore
from tusd_server.uploads.body import Ending


@dataclass
class Given:
    """A body as the network delivers it, in blocks, whole or cut."""

    data: bytes
    cut: bool = False
    length: int | None = None
    ending: Ending | None = None
    trailers: Mapping[str, str] = field(default_factory=dict)

    def chunks(self, limit: int) -> Iterator[memoryview]:
        assert len(self.data) <= limit
        third = max(1, len(self.data) // 3)
        for at in range(0, len(self.data), third):
            yield memoryview(self.data[at : at + third])
        self.ending = Ending.DISCONNECTED if self.cut else Ending.COMPLETE

    def let_go(self) -> None:
        """Nobody asks for it."""

    def closing(self) -> bool:
        return False


class Recorder(Hooks):
    """What was handed over, and was it whole; survives every crash, as a database does."""

    def __init__(self, store: Callable[[], FilesystemStore]) -> None:
        self.finished: dict[str, str] = {}
        self._store = store

    def post_finish(self, event: HookEvent) -> HookReply:
        path = self._store().path(self._store().look(event.upload.id))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert self.finished.setdefault(event.upload.id, digest) == digest
        return HookReply()
