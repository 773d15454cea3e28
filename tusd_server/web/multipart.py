"""multipart/form-data as a stream: every part is read as it arrives, none is ever whole in memory.

A decoder of our own, because Werkzeug's (3.1) adds a stray CR to a part when a read ends within
the last boundary. https://www.rfc-editor.org/rfc/rfc7578, https://www.rfc-editor.org/rfc/rfc2046
"""

from collections.abc import Iterator, Mapping

from werkzeug.http import parse_options_header

from processing.sniff import HEAD_BYTES
from tusd_server.errors import (
    MalformedBody,
    UploadError,
    UploadTooLarge,
    WrongBodyType,
    WrongFields,
)
from tusd_server.uploads.body import Body, Ending
from tusd_server.web.endings import bad_ending

FEED_BYTES = 256 * 1024
MOST_PARTS = 64
MOST_HEAD_BYTES = 16 * 1024
# Before the first boundary and behind the last one: text for mail readers, which forms have not.
MOST_AROUND_BYTES = 16 * 1024
MOST_PADDING_BYTES = 64
MOST_TEXT_BYTES = 8 * 1024
# What a form has beside its files: boundaries, heads and fields.
FORM_ROOM_BYTES = MOST_PARTS * MOST_TEXT_BYTES
# RFC 2046 allows 70; some libraries send more.
MOST_BOUNDARY_BYTES = 200


class Form:
    """The parts of one request's body, in the order in which they come."""

    def __init__(self, body: Body, content_type: str | None, *, most_bytes: int) -> None:
        """Read nothing yet; raises WrongBodyType, MalformedBody and UploadTooLarge.

        `most_bytes` bounds the whole body, `content_type` is the request's.
        """
        boundary = _boundary(content_type)
        if body.length is not None and body.length > most_bytes:
            raise UploadTooLarge(
                f"The form has {body.length} bytes; this URL takes at most {most_bytes} bytes."
            )
        self.body = body
        self._most_bytes = most_bytes
        self._pieces = _pieces(body, most_bytes)
        # "The boundary delimiter MUST occur at the beginning of a line, i.e., following a CRLF":
        # the first one may have no line before it.
        self._delimiter = b"\r\n--" + boundary
        self._buffer = bytearray(b"\r\n")
        self._within_part = True

    def __iter__(self) -> Iterator["Part"]:
        """Each part, to be read before the next is asked for; what is left of it is dropped.

        Raises MalformedBody, and the error of a body that ended badly.
        """
        self._skip_preamble()
        count = 0
        while self._has_next():
            count += 1
            if count > MOST_PARTS:
                raise MalformedBody(f"The form has more than {MOST_PARTS} parts.")
            part = self._part()
            self._within_part = True
            yield part
            self.skip()
        self._end()

    def data(self) -> bytes | None:
        """The next bytes of the part under way; None at its end. Raises as iteration does."""
        while self._within_part:
            at = self._buffer.find(self._delimiter)
            found = self._take(self._certain() if at < 0 else at)
            if at >= 0:
                del self._buffer[: len(self._delimiter)]
                self._within_part = False
            if found:
                return found
            if self._within_part:
                self._feed()
        return None

    def skip(self) -> None:
        """Drop what is left of the part under way."""
        while self.data() is not None:
            pass

    def _skip_preamble(self) -> None:
        left = MOST_AROUND_BYTES
        while (data := self.data()) is not None:
            left -= len(data)
            if left < 0:
                raise MalformedBody("The form does not begin with its boundary.")

    def _has_next(self) -> bool:
        """Whether a part follows the boundary that was just read, and not the end."""
        while len(self._buffer) < 2:
            self._feed()
        if self._buffer.startswith(b"--"):
            return False
        # "transport padding": blanks that nobody sends.
        if self._line(MOST_PADDING_BYTES).strip(b" \t"):
            raise MalformedBody("A boundary of the form is not alone on its line.")
        return True

    def _part(self) -> "Part":
        left = MOST_HEAD_BYTES
        fields: dict[str, str] = {}
        while line := self._line(left):
            left -= len(line)
            name, colon, value = line.partition(b":")
            try:
                fields[name.strip().lower().decode("ascii")] = value.strip().decode()
            except UnicodeDecodeError:
                colon = b""
            if not colon:
                raise MalformedBody("A part of the form has a head that cannot be read.")
        kind, options = parse_options_header(fields.get("content-disposition", ""))
        if kind.lower() != "form-data" or not options.get("name"):
            raise MalformedBody("A part of the form has no name in its Content-Disposition.")
        return Part(self, options["name"], options.get("filename"), fields.get("content-type"))

    def _line(self, most_bytes: int) -> bytes:
        while (at := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > most_bytes:
                break
            self._feed()
        if not 0 <= at <= most_bytes:
            raise MalformedBody("A part of the form has too long a head.")
        line = self._take(at)
        del self._buffer[:2]
        return line

    def _certain(self) -> int:
        """How many of the bytes at hand belong to the part, whatever comes next."""
        at = self._buffer.find(b"\r", max(0, len(self._buffer) - len(self._delimiter) + 1))
        return len(self._buffer) if at < 0 else at

    def _take(self, size: int) -> bytes:
        with memoryview(self._buffer) as view:
            taken = bytes(view[:size])
        del self._buffer[:size]
        return taken

    def _feed(self) -> None:
        piece = next(self._pieces, None)
        if piece is None:
            raise self._ended()
        self._buffer += piece

    def _end(self) -> None:
        """Read what stands behind the last boundary, which means nothing."""
        left = MOST_AROUND_BYTES - len(self._buffer)
        for piece in self._pieces:
            left -= len(piece)
            if left < 0:
                break
        if left < 0:
            raise MalformedBody("The form goes on behind its last boundary.")
        if self.body.ending is not Ending.COMPLETE:
            raise self._ended()

    def _ended(self) -> UploadError:
        if self.body.ending is Ending.OVERRUN:
            return UploadTooLarge(f"The form has more than {self._most_bytes} bytes.")
        if self.body.ending is Ending.COMPLETE:
            return MalformedBody("The form ends before its last boundary.")
        return bad_ending(self.body.ending, "form")


class Part:
    """One part: a field of text or a file; `file_name` is None where none was sent."""

    def __init__(
        self, form: Form, name: str, file_name: str | None, content_type: str | None
    ) -> None:
        """`content_type` is the part's own, which nobody has checked."""
        self.form = form
        self.name = name
        self.is_file = file_name is not None
        self.file_name = file_name or None
        self.content_type = content_type

    def text(self) -> str:
        """All of it as text; raises WrongFields for what is long or no UTF-8."""
        found = bytearray()
        while (data := self.form.data()) is not None:
            found += data
            if len(found) > MOST_TEXT_BYTES:
                raise WrongFields(
                    (self.name, f"{shown(self.name)} must be at most {MOST_TEXT_BYTES} bytes long.")
                )
        try:
            return found.decode()
        except UnicodeDecodeError:
            raise WrongFields((self.name, f"{shown(self.name)} must be text in UTF-8.")) from None


class PartBody:
    """A part as the body of an upload; see uploads.body.Body.

    Its length is known at its end only. A form that ends badly inside it is remembered as
    `error`, because a store must be able to keep what came before.
    """

    def __init__(self, part: Part, most_bytes: int) -> None:
        """More than `most_bytes` are an OVERRUN."""
        self._form = part.form
        self._most_bytes = most_bytes
        self.length: int | None = None
        self.ending: Ending | None = None
        self.trailers: Mapping[str, str] = {}
        self.error: UploadError | None = None
        self.received = 0
        self.head = b""

    def chunks(self, limit: int) -> Iterator[memoryview]:
        """See Body."""
        allowed = min(limit, self._most_bytes)
        while (data := self._data()) is not None:
            room = allowed - self.received
            if len(self.head) < HEAD_BYTES:
                self.head += data[: HEAD_BYTES - len(self.head)]
            self.received += len(data)
            if data[:room]:
                yield memoryview(data)[:room]
            if len(data) > room:
                self.ending = Ending.OVERRUN
                return
        self.ending = self.ending or Ending.COMPLETE

    def let_go(self) -> None:
        """See Body."""
        self._form.body.let_go()

    def closing(self) -> bool:
        """See Body."""
        return self._form.body.closing()

    def _data(self) -> bytes | None:
        try:
            return self._form.data()
        except UploadError as error:
            self.error = error
            ended = self._form.body.ending
            self.ending = Ending.BROKEN if ended in (None, Ending.COMPLETE) else ended
            return None


class Fields:
    """The text fields of a form, each at most once; fields that nobody asked for are ignored."""

    def __init__(self, *names: str, files: str) -> None:
        """`names` are those that count; `files` is the field of the files."""
        self._names = names
        self._files = files
        self.values: dict[str, str] = {}

    def take(self, part: Part) -> None:
        """Read a part that is no file of ours; raises WrongFields."""
        name = part.name
        if "[" in name:
            raise WrongFields(
                (name, f"The field {shown(name)} is nested; names have no brackets here.")
            )
        if name not in self._names:
            if part.is_file:
                raise WrongFields(
                    (name, f"The field {shown(name)} holds a file; send files as {self._files}.")
                )
            return
        if part.is_file:
            raise WrongFields((name, f"{name} must be a plain field, not a file."))
        if name in self.values:
            raise WrongFields((name, f"{name} must be there once only."))
        self.values[name] = part.text()


def shown(text: str) -> str:
    """A client's own text for an error sentence: short, ASCII, on one line."""
    return ascii(text if len(text) <= 40 else text[:40] + "...")


def _pieces(body: Body, most_bytes: int) -> Iterator[bytes]:
    for view in body.chunks(most_bytes):
        # The view is of a buffer that all connections share, and they run while one piece is
        # dealt with: a hook is asked, a lock is waited for.
        content = bytes(view)
        for start in range(0, len(content), FEED_BYTES):
            yield content[start : start + FEED_BYTES]


def _boundary(content_type: str | None) -> bytes:
    kind, options = parse_options_header(content_type or "")
    if kind.lower() != "multipart/form-data":
        raise WrongBodyType("Content-Type must be multipart/form-data with a boundary.")
    try:
        boundary = options.get("boundary", "").encode("ascii")
    except UnicodeEncodeError:
        boundary = b""
    if not 0 < len(boundary) <= MOST_BOUNDARY_BYTES:
        raise MalformedBody(
            f"Content-Type must name a boundary of 1 to {MOST_BOUNDARY_BYTES} ASCII characters."
        )
    return boundary
