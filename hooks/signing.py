"""Standard Webhooks: a body carries who sent it and when, as an HMAC-SHA256 of a shared secret.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hmac
import re
import time
from collections.abc import Callable, Mapping, Sequence

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
PREFIX = "whsec_"
TOLERANCE_SECONDS = 300
# "Random. At least 24 bytes (192 bits, 512 maximum)"
KEY_BYTES = 24

# "It's important that both the message id and the timestamp not be user controlled, or at the
# very least not be allowed to include any `.`"
_MESSAGE_ID = re.compile(r"[!-\-/-~]{1,255}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)


class NotSigned(Exception):
    """The body does not come from somebody who has the secret, or not now; one sentence why."""


class Signer:
    """Signs with every secret of a list and believes any of them, so that one can be replaced."""

    def __init__(self, secrets: str, clock: Callable[[], float] = time.time) -> None:
        """`secrets` and the ValueError are those of `keys_of`; `clock` is seconds since 1970."""
        self._keys = keys_of(secrets)
        self._clock = clock

    def sign(self, message_id: str, body: bytes) -> dict[str, str]:
        """The three headers; the id stays the same when the same message is sent again.

        ValueError for an id that is not 1 to 255 visible ASCII characters without a dot.
        """
        if _MESSAGE_ID.fullmatch(message_id) is None:
            raise ValueError("A message's id is 1 to 255 visible ASCII characters without a dot.")
        seconds = str(int(self._clock()))
        signed = _signed(message_id, seconds, body)
        signatures = " ".join(f"v1,{_signature(key, signed)}" for key in self._keys)
        return {ID: message_id, TIMESTAMP: seconds, SIGNATURE: signatures}

    def verify(self, headers: Mapping[str, str], body: bytes) -> str:
        """The id of a message that was signed in the last five minutes, or raise NotSigned.

        The clocks may differ by as much. That the id is new is for the caller to check.
        """
        given = {name.lower(): text for name, text in headers.items()}
        message_id, seconds = given.get(ID, ""), given.get(TIMESTAMP, "")
        if _MESSAGE_ID.fullmatch(message_id) is None or _SECONDS.fullmatch(seconds) is None:
            raise NotSigned(f"{ID} or {TIMESTAMP} is missing or malformed; sign as webhooks are.")
        if abs(self._clock() - int(seconds)) > TOLERANCE_SECONDS:
            raise NotSigned(f"{TIMESTAMP} is more than 5 minutes off; sign each try anew.")
        signed = _signed(message_id, seconds, body)
        allowed = [_signature(key, signed).encode() for key in self._keys]
        # Versions that we do not know, such as v1a, stand beside ours.
        found = [
            part[3:].encode() for part in given.get(SIGNATURE, "").split() if part[:3] == "v1,"
        ]
        if not any(hmac.compare_digest(one, two) for one in allowed for two in found):
            raise NotSigned(f"{SIGNATURE} does not hold; sign `<id>.<timestamp>.<body>` as v1.")
        return message_id


def keys_of(secrets: str) -> Sequence[bytes]:
    """The keys of one or several secrets, which are separated by commas or blanks.

    A secret is `whsec_` and base64, or else plain text, whose UTF-8 is the key. ValueError, with
    what would be right, when there is none, or one that is shorter than 24 bytes or no base64.
    """
    parts = secrets.replace(",", " ").split()
    keys = tuple(_key(part) for part in parts)
    if not keys or min(map(len, keys)) < KEY_BYTES:
        raise ValueError(
            f"one or several secrets of at least {KEY_BYTES} bytes, separated by commas or blanks, "
            f"such as `{PREFIX}` and the output of `openssl rand -base64 32`"
        )
    return keys


def _key(secret: str) -> bytes:
    if not secret.startswith(PREFIX):
        return secret.encode()
    text = secret.removeprefix(PREFIX).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"base64 behind `{PREFIX}`") from None


def _signed(message_id: str, seconds: str, body: bytes) -> bytes:
    return f"{message_id}.{seconds}.".encode() + body


def _signature(key: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
