"""A process that has everything imported, and forks one child for each request.

Starting Python and importing decoders takes longer than decoding a photograph. So it is done
once, before any medium is near: this process never opens one, reaches no network and changes no
file, and each child, a copy of it as it was at the start, sees one medium and ends.
"""

import contextlib
import gc
import io
import json
import os
import selectors
import signal
import socket
from collections.abc import Callable
from typing import Any, Final, NoReturn

MOST_REQUEST: Final = 1024 * 1024
_FILES: Final = 3
_MOST_OPEN: Final = 65536
_BROKEN: Final = 126

Answer = Callable[[dict[str, Any]], int]


class Nursery:
    """Serves requests from one socket until its other end is closed, and then ends its children.

    A request is four bytes of length and as much JSON, with three files: the child's leash,
    its standard output and its log. It is acknowledged with one byte. When the other end of the
    leash says no more, the child is killed with its group; when the child has ended, its exit
    status goes back on the leash as text, negative for a signal.
    """

    def __init__(self, control: socket.socket, answer: Answer) -> None:
        """`answer` carries out a request in the child; its result is the exit status."""
        self._control = control
        self._answer = answer
        self._leashes: dict[int, int] = {}
        self._selector = selectors.DefaultSelector()

    def serve(self) -> None:
        """Return when nobody is left to ask."""
        wake, woken = os.pipe()
        os.set_blocking(woken, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(woken)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(self._control, selectors.EVENT_READ)
        self._selector.register(wake, selectors.EVENT_READ, wake)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._control:
                    if not self._admit():
                        return
                elif key.fileobj == wake:
                    os.read(wake, 1024)
                    self._bury()
                elif key.data in self._leashes:
                    self._selector.unregister(key.fd)
                    _kill(key.data)

    def _admit(self) -> bool:
        head, files, _, _ = socket.recv_fds(self._control, 4, _FILES)
        if not head:
            return False
        text = b""
        while len(text) < int.from_bytes(head, "big"):
            part = self._control.recv(MOST_REQUEST)
            if not part:
                return False
            text += part
        leash, output, log = files
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            os.close(leash)
        else:
            if pid == 0:
                self._be_child(json.loads(text), parent, output, log)
            self._leashes[pid] = leash
            self._selector.register(leash, selectors.EVENT_READ, pid)
        os.close(output)
        os.close(log)
        os.write(self._control.fileno(), b"\1")
        return True

    def _bury(self) -> None:
        """Tell of the children that have ended, after killing what they have left behind."""
        while dead := _dead():
            # Not reaped yet: until then the group's number cannot become another's.
            _kill(dead)
            status = os.waitstatus_to_exitcode(os.waitpid(dead, 0)[1])
            leash = self._leashes.pop(dead)
            with contextlib.suppress(KeyError):
                self._selector.unregister(leash)
            with contextlib.suppress(OSError):
                os.write(leash, str(status).encode())
            os.close(leash)

    def _be_child(self, request: dict[str, Any], parent: int, output: int, log: int) -> NoReturn:
        status = _BROKEN
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            nothing = os.open(os.devnull, os.O_RDONLY)
            for target, file in enumerate((nothing, output, log)):
                os.dup2(file, target)
            # Other children's leashes too: a copy would keep one from being felt.
            os.closerange(3, _MOST_OPEN)
            status = self._answer({**request, "parent": parent})
        finally:
            # Destructors of native libraries may crash after a hostile file.
            os._exit(status)


def _dead() -> int:
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 0
    return found.si_pid if found else 0


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def warm() -> None:
    """Import and make all that a child may need, so that it need not."""
    import pillow_heif  # noqa: F401
    import pymediainfo  # noqa: F401
    from PIL import AvifImagePlugin, WebPImagePlugin  # noqa: F401

    import processing.child.image
    import processing.child.mediainfo
    import processing.child.stripping  # noqa: F401
    from processing.child.confine import prepare

    prepare()
    _practise()
    # What is there now is there for good, and need not be looked at in each copy.
    gc.collect()
    gc.freeze()


def _practise() -> None:
    """Shrink a picture of our own: Pillow imports and computes much at its first use.

    Nothing is set here that a child could find set.
    """
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    small = io.BytesIO()
    Image.new("RGB", (64, 64)).save(small, "JPEG", exif=exif)
    with Image.open(small, formats=("JPEG",)) as image:
        image.draft("RGB", (32, 32))
        image.thumbnail((32, 32), reducing_gap=2.0)
        image.getexif().get(0x0112)
        image.save(io.BytesIO(), "JPEG")
