"""How texts of the command line become values; a bad one is argparse's one-sentence error."""

import re
from argparse import ArgumentTypeError
from urllib.parse import urlsplit, urlunsplit

MOST_PORT = 65_535
MOST_HOURS = 876_000.0

_SIZE = re.compile(r"([0-9]+)(?: ?([KMG])(?:i?B)?|B)?", re.ASCII | re.IGNORECASE)
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
_TOKEN = re.compile(r"[!-~]+")


def size(text: str) -> int:
    """A number of bytes, such as `5MiB`."""
    found = _SIZE.fullmatch(text.strip())
    number = int(found[1]) * _UNITS[(found[2] or "").upper()] if found else 0
    if number < 1:
        raise ArgumentTypeError(f"{text!r} is not a size; give one such as 5MiB.")
    return number


def count(text: str) -> int:
    """A whole number of at least 1."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ArgumentTypeError(f"{text!r} is not a whole number of at least 1.")
    return int(text)


def port(text: str) -> int:
    """A TCP port; 0 is any."""
    if not (text.isascii() and text.isdigit() and int(text) <= MOST_PORT):
        raise ArgumentTypeError(f"{text!r} is not a port; give one from 0 to {MOST_PORT}.")
    return int(text)


def hours(text: str) -> float:
    """A positive number of hours, at most a century of them."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= MOST_HOURS:
        raise ArgumentTypeError(
            f"{text!r} is not a number of hours; give one above 0 and up to {MOST_HOURS:.0f}."
        )
    return number


def seconds(text: str) -> float:
    """A number of seconds; 0 is none."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e9:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds; give one such as 60.")
    return number


def user(text: str) -> str:
    """A user's name as tokens may carry it."""
    if not 0 < len(text) <= 255 or not text.isprintable():
        raise ArgumentTypeError("A user's name has 1 to 255 printable characters.")
    return text


def token(text: str) -> str:
    """A token, freed of the line's end that a file or a pipe leaves behind it."""
    found = text.strip()
    if not _TOKEN.fullmatch(found):
        raise ArgumentTypeError("The token is not one; `tusd-server token` prints them.")
    return found


def server_url(text: str) -> str:
    """A server's root without its last slash; the address of its uploads is taken as well."""
    wrong = ArgumentTypeError(f"{text!r} is not a server; give one such as http://127.0.0.1:1080.")
    try:
        parts = urlsplit(text.strip())
        usable = parts.port != 0 and parts.scheme in ("http", "https") and parts.hostname
    except ValueError:
        raise wrong from None
    if not usable or parts.query or parts.fragment or "@" in parts.netloc:
        raise wrong
    path = parts.path.rstrip("/").removesuffix("/files")
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))
