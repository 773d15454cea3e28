"""Hooks over HTTP, as tusd calls them: its JSON in a POST, its JSON in the reply."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from hooks.calling import TRY_AGAIN, auth_of, read_at_most
from hooks.events import HookName
from hooks.signing import Signer
from hooks.transport import MOST_REPLY_BYTES, Away, Call, Failed, shown, within

POOLED_CONNECTIONS = 32

# Those of our own request; a client's would only break it.
_NEVER_FORWARDED = frozenset(
    {"connection", "content-length", "content-type", "host", "transfer-encoding"}
)


class WebHook:
    """One URL that takes events; see hooks.transport.Transport."""

    def __init__(
        self,
        url: str,
        *,
        enabled: Sequence[HookName],
        timeout_seconds: float,
        tries: int = 3,
        pause_seconds: float = 1.0,
        forward_headers: Sequence[str] = (),
        signer: Signer | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Nothing is connected yet; `timeout_seconds` bounds all tries and pauses together."""
        self._url = url
        self._enabled = frozenset(enabled)
        self._timeout_seconds = timeout_seconds
        self._tries = tries
        self._pause_seconds = pause_seconds
        self._forward = {name.lower(): name for name in forward_headers}
        self._signer = signer
        self._sleep = sleep
        self._session = _session(url)

    @property
    def name(self) -> str:
        """The URL without user, password and query, and a digest of all of it."""
        parts = urlsplit(self._url)
        place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        return f"{place}#{hashlib.sha256(self._url.encode()).hexdigest()[:8]}"

    def takes(self, name: HookName) -> bool:
        """Those that are enabled."""
        return name in self._enabled

    def ask(self, call: Call) -> bytes:
        """The reply; network errors and 5xx are tried again, as in tusd."""
        give_up_at = time.monotonic() + self._timeout_seconds
        return self._in_time(lambda: self._try(call, give_up_at))

    def deliver(self, call: Call) -> None:
        """One try; whoever delivers tries again later."""
        give_up_at = time.monotonic() + self._timeout_seconds
        self._in_time(lambda: self._post(call, give_up_at))

    def _in_time(self, work: Callable[[], bytes]) -> bytes:
        try:
            return within(self._timeout_seconds, work)
        except TimeoutError:
            raise Away(f"{self.name} did not answer in {self._timeout_seconds:g} s.") from None

    def _try(self, call: Call, give_up_at: float) -> bytes:
        for left in reversed(range(self._tries)):
            try:
                return self._post(call, give_up_at)
            except Away:
                if not left or time.monotonic() + self._pause_seconds >= give_up_at:
                    raise
                self._sleep(self._pause_seconds)
        raise AssertionError("there is at least one try")

    def _post(self, call: Call, give_up_at: float) -> bytes:
        body = json.dumps(call.document, separators=(",", ":")).encode()
        try:
            with self._session.post(
                self._url,
                data=body,
                headers=self._headers(call, body),
                timeout=max(0.001, give_up_at - time.monotonic()),
                allow_redirects=False,
                stream=True,
            ) as response:
                text = read_at_most(response, MOST_REPLY_BYTES + 1, give_up_at)
        except (requests.RequestException, OSError) as error:
            raise Away(f"{self.name} cannot be reached: {type(error).__name__}.") from error
        self._check(response, text)
        return text

    def _check(self, response: requests.Response, text: bytes) -> None:
        status = response.status_code
        if 200 <= status < 300:
            if len(text) > MOST_REPLY_BYTES:
                raise Failed(f"{self.name} replied more than {MOST_REPLY_BYTES} bytes.")
            return
        message = f"{self.name} answered {status}: {shown(text)}."
        if status >= 500 or status in TRY_AGAIN:
            raise Away(message, after_seconds=_retry_after(response))
        raise Failed(message)

    def _headers(self, call: Call, body: bytes) -> Mapping[str, str]:
        signed = self._signer.sign(call.message_id, body) if self._signer is not None else {}
        return {
            **self._forwarded(call),
            "Content-Type": "application/json",
            "User-Agent": "tusd-server",
            "Accept-Encoding": "identity",
            **signed,
        }

    def _forwarded(self, call: Call) -> dict[str, str]:
        wanted = {
            self._forward[name.lower()]: ", ".join(values).strip()
            for name, values in call.headers.items()
            if name.lower() in self._forward
        }
        return {n: value for n, value in wanted.items() if n.lower() not in _NEVER_FORWARDED}


def _session(url: str) -> requests.Session:
    session = requests.Session()
    session.auth = auth_of(url)
    # One receiver's cookie must not go out with another upload's event.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=POOLED_CONNECTIONS)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def _retry_after(response: requests.Response) -> float | None:
    seconds = response.headers.get("Retry-After", "")
    return float(seconds) if seconds.isascii() and seconds.isdigit() else None
