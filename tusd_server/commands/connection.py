"""HTTP to one server: one connection, a limit to every wait, an error for every bad answer."""

from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from tusd_server.commands.words import printable
from tusd_server.errors import TusdError

CONNECT_SECONDS = 30.0
# The answer to the last byte comes after the server has synced the whole file to its disk.
ANSWER_SECONDS = 120.0
LONGEST_SENTENCE = 500

# 408 and 425 are other people's proxies; 409 and 423 are settled by asking for the offset.
_FOR_NOW = frozenset({408, 409, 423, 425, 429})


class UploadFailed(TusdError):
    """An upload that came to nothing; the text is one sentence for the user."""


class NoAnswer(UploadFailed):
    """The network or the server failed before there was an answer."""


class BadAnswer(UploadFailed):
    """The server refused; the sentence is its own where it gave one."""

    def __init__(self, status: int, sentence: str) -> None:
        """`status` is HTTP's."""
        super().__init__(sentence)
        self.status = status

    @property
    def for_now(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in _FOR_NOW or self.status >= 500


class Connection:
    """Speaks with the server at `root`, for whoever the token names.

    tuspy alone would open a connection for each chunk, and wait for ever where a network dies.
    """

    def __init__(self, root: str, token: str | None) -> None:
        """Connect to nothing yet."""
        self.root = root
        self.answered = False
        self._session = requests.Session()
        self._session.auth = _Bearer(token)

    @property
    def files_url(self) -> str:
        """Where uploads are created."""
        return f"{self.root}/files/"

    def send(self, method: str, url: str, **options: Any) -> requests.Response:
        """The good answer to this request.

        Raises NoAnswer and BadAnswer. A redirection is a bad answer: following it would turn a
        POST into a GET, or carry the token elsewhere.
        """
        try:
            answer = self._session.request(
                method,
                url,
                allow_redirects=False,
                timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
                **options,
            )
        except requests.RequestException as error:
            raise NoAnswer(f"{self.root} does not answer: {_cause(error)}.") from None
        self.answered = True
        if not 200 <= answer.status_code < 300:
            raise BadAnswer(answer.status_code, _sentence(answer))
        return answer

    def close(self) -> None:
        """End the connection; it may be used again afterwards."""
        self._session.close()

    def own(self, url: str) -> bool:
        """Whether a URL leads to this server, so that the token may go there."""
        ours, theirs = urlsplit(self.root), urlsplit(url)
        return (ours.scheme, ours.netloc.lower()) == (theirs.scheme, theirs.netloc.lower())


class _Bearer(AuthBase):
    """The token; without this, requests would send a password that it finds in ~/.netrc."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _sentence(answer: requests.Response) -> str:
    """The server's own words, or which answer it was that had none."""
    text = ""
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    if kind == "text/plain":
        text = answer.text
    elif kind == "application/problem+json":
        try:
            text = str(answer.json()["detail"])
        except (ValueError, KeyError, TypeError):
            text = ""
    found = printable(text.strip().partition("\n")[0][:LONGEST_SENTENCE])
    if found:
        return found
    if 300 <= answer.status_code < 400:
        place = printable(answer.headers.get("Location", "elsewhere")[:LONGEST_SENTENCE])
        return f"The server redirects to {place}; give its true address as --url."
    return f"The server answered {answer.status_code} {printable(answer.reason or '')}.".strip()


def _cause(error: BaseException) -> str:
    """The innermost reason, in the system's words."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror[:1].lower() + seen.strerror[1:]
        inner = getattr(seen, "reason", None)
        arguments = [argument for argument in seen.args if isinstance(argument, BaseException)]
        candidates = [inner if isinstance(inner, BaseException) else None, *arguments]
        seen = next((found for found in (*candidates, seen.__context__) if found), None)
    if isinstance(error, requests.Timeout):
        return "it took too long"
    return "the connection broke"
