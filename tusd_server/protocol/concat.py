"""Upload-Concat: `partial`, or `final;` and the URLs of the parts."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from tusd_server.errors import BadHeader
from tusd_server.info import is_id

MOST_PARTS = 10_000

_FINAL = re.compile(r"final;[ ]?([!-~]+(?: [!-~]+)*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Concat:
    """A part of a concatenation, or the upload made of `parts` (ids, in order).

    `header` is the value as received, which HEAD must repeat.
    """

    header: str
    parts: tuple[str, ...] = ()

    @property
    def partial(self) -> bool:
        """True for a part."""
        return not self.parts

    @classmethod
    def from_header(cls, text: str, base_path: str) -> "Concat":
        """Read the header; `base_path` is the path under which our uploads lie, as `/files/`.

        "If the upload is a partial one, the header value MUST be partial. In the case of a final
        upload, its value MUST be final followed by a semicolon and a space-separated list of
        partial upload URLs that will be concatenated. The partial uploads URLs MAY be absolute
        or relative and MUST NOT contain spaces."
        """
        if text == "partial":
            return cls(text)
        match = _FINAL.fullmatch(text)
        if match is None:
            raise BadHeader(
                "Upload-Concat must be `partial`, or `final;` and URLs separated by blanks."
            )
        urls = match[1].split(" ")
        if len(urls) > MOST_PARTS:
            raise BadHeader(f"Upload-Concat names {len(urls)} parts; at most {MOST_PARTS} can be.")
        return cls(text, tuple(_id_of(url, base_path) for url in urls))


def _id_of(url: str, base_path: str) -> str:
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        path = ""
    upload_id = path.rpartition("/")[2]
    # A relative URL may be the bare id, resolved against the URL of the creation.
    if not is_id(upload_id) or path not in (upload_id, base_path + upload_id):
        raise BadHeader("Upload-Concat names a URL that is no upload of this server.")
    return upload_id
