"""Every setting of the program: one frozen dataclass, read from `TUSD_*` variables."""

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from hooks.events import HookName
from hooks.signing import keys_of
from processing.clamd import Address
from processing.limits import Limits
from processing.recipe import Format, Recipe
from tusd_server.errors import BadSetting

PREFIX = "TUSD_"
CLIENT_VARIABLES = frozenset({"TUSD_URL", "TUSD_TOKEN"})
"""What `tusd-server upload` reads; a server started from the same shell is not disturbed."""
MIB = 1024 * 1024
_RULES = Limits()

Durability = Literal["finish", "chunk", "none"]
Auth = Literal["jwt", "off"]


_DECIMAL = re.compile(r"[0-9]*\.?[0-9]+(e[+-]?[0-9]{1,3})?|[0-9]+\.", re.ASCII | re.IGNORECASE)


def _plain_int(text: str) -> int:
    """Read ASCII digits only: `int()` would also take `+5`, `1_0` and Arabic digits."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError("a whole number, such as 60")
    return int(text)


def _positive_int(text: str) -> int:
    number = _plain_int(text)
    if number < 1:
        raise ValueError("a whole number of at least 1")
    return number


def _port(text: str) -> int:
    number = _plain_int(text)
    if number > 65535:
        raise ValueError("a port between 0 and 65535")
    return number


def _positive(text: str, most: float, wanted: str) -> float:
    # Beside digits `float()` would take `1_0` and Arabic ones.
    number = float(text) if _DECIMAL.fullmatch(text) else 0.0
    if not 0 < number <= most:
        raise ValueError(wanted)
    return number


def _seconds(text: str) -> float:
    return _positive(text, 1e9, "a positive number of seconds, such as 60 or 0.5")


def _hours(text: str) -> float:
    return _positive(text, 8760, "a positive number of hours, such as 24 or 0.5")


def _days(text: str) -> int:
    number = _plain_int(text)
    if number > 36_500:
        raise ValueError("a whole number of days up to 36500")
    return number


_UNITS = {"": 1, "B": 1, "K": 1024, "M": MIB, "G": 1024 * MIB, "T": 1024 * 1024 * MIB}


def _size(text: str) -> int:
    number = text.upper().removesuffix("IB").removesuffix("B").strip()
    unit = number[-1:] if number[-1:].isalpha() else ""
    digits = number.removesuffix(unit).strip()
    if unit not in _UNITS or not (digits.isascii() and digits.isdigit()) or int(digits) == 0:
        raise ValueError("a size in bytes, such as 524288000 or 500MiB")
    return int(digits) * _UNITS[unit]


def _size_or_none(text: str) -> int:
    return 0 if text == "0" else _size(text)


def _boolean(text: str) -> bool:
    try:
        return {"1": True, "true": True, "yes": True, "on": True}.get(text.lower()) or {
            "0": False,
            "false": False,
            "no": False,
            "off": False,
        }[text.lower()]
    except KeyError:
        raise ValueError("one of 1, 0, true, false, yes, no, on, off") from None


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return text

    return read


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _side(text: str) -> int:
    number = _plain_int(text)
    if not 1 <= number <= 4096:
        raise ValueError("a number of pixels from 1 to 4096, such as 640")
    return number


def _tiles(text: str) -> int:
    number = {"off": 0, "on": 25}.get(text)
    if number is None:
        number = _plain_int(text) if text.isdigit() else 101
    if number > 100:
        raise ValueError("on, off, or a number of frames up to 100")
    return number


def _lines(text: str) -> int:
    number = _plain_int(text.removesuffix("p"))
    if not 144 <= number <= 2160:
        raise ValueError("a shorter side from 144p to 2160p, such as 720p")
    return number


def _several(read: Callable[[str], Any], most: int = 8) -> Callable[[str], tuple[Any, ...]]:
    def read_all(text: str) -> tuple[Any, ...]:
        values = tuple(dict.fromkeys(read(part) for part in _list(text)))
        if len(values) > most:
            raise ValueError(f"at most {most} values, separated by commas")
        return values

    return read_all


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError("a path; there is no user of that name") from None


def _folder(text: str) -> Path | None:
    if not text:
        return None
    path = _path(text)
    if not path.is_dir():
        raise ValueError("a folder that exists")
    return path


EVENTS: tuple[str, ...] = tuple(name for name in get_args(HookName) if name != "first-bytes")
"""The events that hooks outside of this program may get."""


def _events(text: str) -> tuple[str, ...]:
    names = _list(text)
    if not set(names) <= set(EVENTS):
        raise ValueError("some of " + ", ".join(EVENTS))
    return names


def _webhook_secret(text: str) -> str | None:
    if text:
        keys_of(text)
    return text or None


_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?", re.ASCII)


def _origins(text: str) -> tuple[str, ...]:
    origins = _list(text)
    if not all(map(_ORIGIN.fullmatch, origins)):
        raise ValueError("origins such as https://app.example, separated by commas")
    return origins


def _text(text: str) -> str:
    # Bytes of the environment that are no UTF-8 come as lone surrogates, which nothing can encode.
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a text in UTF-8") from None
    return text


def _optional(text: str) -> str | None:
    return _text(text) or None


def _clamd_address(text: str) -> str | None:
    return str(Address.from_text(text)) if text else None


def _http_url(text: str) -> str:
    wanted = "an absolute URL, such as https://app.example/media"
    try:
        parts = urlsplit(_text(text))
        # Reading the port is what checks it.
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        raise ValueError(wanted) from None
    if not usable or not text.isprintable() or " " in text:
        raise ValueError(wanted)
    return text


def _urls(text: str) -> tuple[str, ...]:
    return tuple(_http_url(url) for url in _list(text))


def _optional_url(text: str) -> str | None:
    return _http_url(text) if text else None


def _root_url(text: str) -> str | None:
    if "?" in text or "#" in text:
        raise ValueError("an absolute URL without a query, such as https://media.example")
    return _optional_url(text)


def _setting(default: Any, read: Callable[[str], Any], doc: str, *, secret: bool = False) -> Any:
    metadata = {"read": read, "doc": doc}
    if callable(default):
        return field(default_factory=default, metadata=metadata, repr=not secret)
    return field(default=default, metadata=metadata, repr=not secret)


def _default_workers() -> int:
    return min(4, os.cpu_count() or 1)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings; each field is the variable `TUSD_<FIELD>` (`TUSD_DATA_DIR` is `data_dir`)."""

    data_dir: Path = _setting(
        lambda: Path("data"),
        _path,
        "Directory of uploads, finished media, database and secrets.",
    )
    host: str = _setting("127.0.0.1", _text, "Address to listen on.")
    port: int = _setting(1080, _port, "Port to listen on; 0 takes a free one.")
    workers: int = _setting(
        _default_workers, _positive_int, "Web processes; by default one a core, at most 4."
    )
    log_level: str = _setting(
        "info",
        _one_of("debug", "info", "warning", "error"),
        "Least severe log line that is written.",
    )
    access_log: bool = _setting(
        False, _boolean, "Write one line for each request to standard error."
    )

    auth: Auth = _setting(
        "jwt",
        _one_of("jwt", "off"),
        "`jwt` asks every request for a token; `off` is for trusted networks: all are `anonymous`.",
    )
    jwt_secret: str | None = _setting(
        None,
        _optional,
        "HS256 secret of tokens, at least 32 bytes; without it one is made in the data directory.",
        secret=True,
    )
    jwt_public_key: str | None = _setting(
        None,
        _optional,
        "PEM public key, or the path of one, that verifies RS256 or ES256 tokens made elsewhere.",
    )
    jwt_audience: str | None = _setting(None, _optional, "Required `aud` claim; none by default.")
    jwt_issuer: str | None = _setting(None, _optional, "Required `iss` claim; none by default.")

    max_size: int = _setting(500 * MIB, _size, "Largest upload in bytes (`Tus-Max-Size`).")
    simple_max_size: int = _setting(
        50 * MIB, _size, "Largest file of `POST /api/v1/media/upload/simple`, in bytes."
    )
    answer_wait_seconds: float = _setting(
        10.0,
        _seconds,
        "Longest wait of an answer of the JSON API for the examination of its files, in seconds.",
    )
    network_timeout_seconds: float = _setting(
        60.0, _seconds, "Longest wait for the next byte from a client, in seconds."
    )
    min_bytes_per_second: int = _setting(
        16,
        _plain_int,
        "Slowest body, measured over one network timeout, in bytes per second; 0 is no limit.",
    )
    lock_timeout_seconds: float = _setting(
        10.0,
        _seconds,
        "Longest wait for an upload that another request is writing, before 423, in seconds.",
    )
    shutdown_seconds: float = _setting(
        10.0, _seconds, "Time that running requests and jobs are given at a stop, in seconds."
    )
    durability: Durability = _setting(
        "finish",
        _one_of("finish", "chunk", "none"),
        "When bytes are synced to disk: before the last answer, before every answer, or never.",
    )
    expire_unfinished_seconds: float = _setting(
        86_400.0, _seconds, "An upload without new bytes for so long is deleted, in seconds."
    )
    expire_rejected_seconds: float = _setting(
        86_400.0, _seconds, "How long the URL of a refused or expired upload says so, in seconds."
    )
    expire_finished_seconds: float = _setting(
        2_592_000.0,
        _seconds,
        "How long the URL of a finished upload is remembered, in seconds; its medium is kept.",
    )
    retention_days: int = _setting(
        0,
        _days,
        "Files of media that are not published within so many days of their registration, or of "
        "their arrival without a post, are deleted; 0 keeps them.",
    )
    user_max_bytes: int = _setting(
        0,
        _size_or_none,
        "Most bytes that one user may have stored and under way; 0 is no limit.",
    )
    user_max_unfinished: int = _setting(
        0, _plain_int, "Most unfinished uploads that one user may have; 0 is no limit."
    )
    user_creations_per_minute: int = _setting(
        0,
        _plain_int,
        "Most uploads that one user may begin in a minute; 0 is no limit. "
        "Counted in Redis where it is set, else in each web process.",
    )
    trust_proxy: int = _setting(
        0,
        _plain_int,
        "Reverse proxies in front; that many X-Forwarded-For, -Proto, -Host, -Port and -Prefix "
        "are believed.",
    )
    public_url: str | None = _setting(
        None,
        _root_url,
        "URL under which others reach this server, for the links in calls to the posts backend; "
        "without it these are paths.",
    )
    cors_origins: tuple[str, ...] = _setting(
        ("*",),
        _list,
        "Origins whose pages may upload, separated by commas; `*` is every origin, empty is none.",
    )

    hooks_http: tuple[str, ...] = _setting(
        (),
        _urls,
        "URLs that are told of uploads as tusd tells its hooks, separated by commas.",
        secret=True,
    )
    hooks_dir: Path | None = _setting(
        None, _folder, "Folder of programs named for events, which are run as tusd runs its hooks."
    )
    hooks_enabled: tuple[str, ...] = _setting(
        ("pre-create", "post-create", "post-receive", "post-finish", "post-terminate"),
        _events,
        "Events that `TUSD_HOOKS_HTTP` and `TUSD_HOOKS_DIR` get, separated by commas; there are "
        "also `pre-finish` and `pre-terminate`.",
    )
    hooks_http_forward_headers: tuple[str, ...] = _setting(
        (), _list, "Headers of the client's request that go to `TUSD_HOOKS_HTTP` as headers, too."
    )
    hooks_http_retry: int = _setting(
        3, _positive_int, "Tries in total while a client waits for the answer of a URL."
    )
    hooks_http_backoff_seconds: float = _setting(
        1.0, _seconds, "Pause between these tries, in seconds."
    )
    hooks_timeout_seconds: float = _setting(
        15.0, _seconds, "Longest time of a hook, all its tries together, in seconds."
    )
    hooks_progress_seconds: float = _setting(
        1.0, _seconds, "Time between two `post-receive` of a running request, in seconds."
    )
    hooks_secret: str | None = _setting(
        None,
        _webhook_secret,
        "Signs what goes to `TUSD_HOOKS_HTTP`, as Standard Webhooks do; at least 24 bytes, such "
        "as `whsec_` and base64. Several, separated by commas, are all used.",
        secret=True,
    )

    embed_origins: tuple[str, ...] = _setting(
        (),
        _origins,
        "Origins whose pages may show the page at `/` in a frame and hand it a token, "
        "separated by commas; none by default.",
    )
    events_lifetime_seconds: float = _setting(
        300.0,
        _seconds,
        "Longest life of a stream of events; its client then shows its token anew, in seconds.",
    )

    database_url: str | None = _setting(
        None,
        _optional,
        "SQLAlchemy URL of the catalog; SQLite in the data directory by default.",
        secret=True,
    )
    redis_url: str | None = _setting(
        None,
        _optional,
        "Redis that wakes sleeping workers at once and counts creations; without it workers poll.",
        secret=True,
    )
    worker_concurrency: int = _setting(
        lambda: os.cpu_count() or 1, _positive_int, "Jobs that one worker process runs at once."
    )
    job_attempts: int = _setting(
        4, _positive_int, "Tries of a job, crashes included, before it is parked as failed."
    )
    retry_hours: float = _setting(
        24.0,
        _hours,
        "How long a job is tried again while a service that it needs is away (the posts backend, "
        "a virus scanner), before it is parked as failed, in hours.",
    )
    job_lease_seconds: float = _setting(
        60.0, _seconds, "After this silence of its worker a job is given to another, in seconds."
    )
    media_timeout_seconds: float = _setting(
        60.0, _seconds, "Longest run of one probe or thumbnail child process, in seconds."
    )
    strip_metadata: bool = _setting(
        False,
        _boolean,
        "Remove places, times, devices and other private metadata from stored originals; "
        "pictures and sound stay as they are.",
    )
    clamav: str | None = _setting(
        None,
        _clamd_address,
        "ClamAV's daemon, as `host:port` or the path of its Unix socket; every file is scanned "
        "before it is decoded, and waits while the daemon is away.",
    )
    url_lifetime_seconds: float = _setting(
        3600.0, _seconds, "Validity of the signed `url` and `thumbnail_url`, in seconds."
    )

    posts_url: str | None = _setting(
        None,
        _optional_url,
        "Where the posts backend takes a signed POST for each ready medium of a post; without it "
        "posts are kept in this server's database.",
        secret=True,
    )
    posts_secret: str | None = _setting(
        None,
        _optional,
        "Secret shared with the posts backend, at least 24 bytes, for Standard Webhooks: `whsec_` "
        "and base64, or plain text; several, separated by commas, while one is replaced.",
        secret=True,
    )
    posts_timeout_seconds: float = _setting(
        15.0, _seconds, "Longest wait for the posts backend's answer, in seconds."
    )

    video_min_seconds: float = _setting(
        _RULES.video_min_seconds, _seconds, "Shortest video, in seconds."
    )
    video_max_seconds: float = _setting(
        _RULES.video_max_seconds, _seconds, "Longest video, in seconds."
    )
    video_max_side: int = _setting(
        _RULES.video_max_side, _positive_int, "Longest side of a video, in pixels."
    )
    video_max_size: int = _setting(_RULES.video_max_size, _size, "Largest video, in bytes.")
    image_min_side: int = _setting(
        _RULES.image_min_side, _positive_int, "Shortest side of an image, in pixels."
    )
    image_max_side: int = _setting(
        _RULES.image_max_side,
        _positive_int,
        "Longest side of an image, in pixels; 24 megapixel phones need 5712.",
    )
    image_max_size: int = _setting(_RULES.image_max_size, _size, "Largest image, in bytes.")
    thumbnail_side: int = _setting(
        _RULES.thumbnail_side, _side, "Longest side of a thumbnail, in pixels; at most 4096."
    )
    thumbnail_format: Format = _setting(
        "jpeg",
        _one_of(*get_args(Format)),
        "`jpeg`, or `webp`, which is a third smaller and keeps transparency.",
    )
    thumbnail_sizes: tuple[int, ...] = _setting(
        (),
        _several(_side),
        "Longest sides of further pictures, such as `320,1280`: derivatives `thumbnail-320` and "
        "so on, none larger than the original; at most 8.",
    )
    storyboard: int = _setting(
        0,
        _tiles,
        "Most frames in the storyboard of a video, 1 to 100; `on` is 25, `off` (or 0) makes none.",
    )
    renditions: tuple[int, ...] = _setting(
        (),
        _several(_lines),
        "H.264 copies of videos by their shorter side, such as `720p` or `480p,1080p`; none is "
        "larger than the original.",
    )
    rendition_timeout_seconds: float = _setting(
        900.0, _seconds, "Longest run of the child process that makes one rendition, in seconds."
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str], **overrides: Any) -> "Settings":
        """Read `TUSD_*` from a mapping; keyword arguments, where not None, take precedence.

        Raises BadSetting with one sentence that names the variable, its value and what would be
        right. An unknown `TUSD_` variable is refused too: it is most likely a misspelt one.
        """
        known = {PREFIX + f.name.upper(): f for f in dataclasses.fields(cls)}
        values: dict[str, Any] = {}
        for name, text in environ.items():
            if not name.startswith(PREFIX) or name in CLIENT_VARIABLES:
                continue
            if name not in known:
                raise BadSetting(f"{name} is not a setting; docs/configuration.md lists them all.")
            values[known[name].name] = _read(name, text, known[name].metadata["read"])
        values.update({name: value for name, value in overrides.items() if value is not None})
        settings = cls(**values)
        settings._check()
        return settings

    def _check(self) -> None:
        if self.jwt_secret is not None and len(self.jwt_secret.encode()) < 32:
            raise BadSetting(
                "TUSD_JWT_SECRET is too short; HS256 needs at least 32 bytes, "
                "such as the output of `openssl rand -hex 32`."
            )
        if self.jwt_secret is not None and self.jwt_public_key is not None:
            raise BadSetting("Set TUSD_JWT_SECRET or TUSD_JWT_PUBLIC_KEY, not both.")
        self._check_bounds()
        self._check_posts()

    def _check_bounds(self) -> None:
        pairs = (("image_min_side", "image_max_side"), ("video_min_seconds", "video_max_seconds"))
        for least, most in pairs:
            if getattr(self, least) > getattr(self, most):
                raise BadSetting(
                    f"{PREFIX}{least.upper()} is {getattr(self, least):g}, which is more than "
                    f"{PREFIX}{most.upper()}, {getattr(self, most):g}; nothing could be accepted."
                )

    def _check_posts(self) -> None:
        if self.posts_url is not None and self.posts_secret is None:
            raise BadSetting(
                "TUSD_POSTS_URL is set without TUSD_POSTS_SECRET; set the secret that signs the "
                "calls to it."
            )
        if self.posts_secret is not None:
            try:
                keys_of(self.posts_secret)
            except ValueError as error:
                raise BadSetting(f"TUSD_POSTS_SECRET is not usable; it must be {error}.") from None

    @property
    def limits(self) -> Limits:
        """The rules of the media pipeline."""
        return Limits(
            **{f.name: getattr(self, f.name) for f in dataclasses.fields(Limits)},
        )

    @property
    def recipe(self) -> Recipe:
        """What is made of each medium."""
        ours = {f.name for f in dataclasses.fields(self)}
        wanted = [f.name for f in dataclasses.fields(Recipe) if f.name in ours]
        return Recipe(**{name: getattr(self, name) for name in wanted})

    @property
    def state_dir(self) -> Path:
        """Where the program keeps its own files: database, secrets, locks, work directories."""
        return self.data_dir / ".tusd-server"

    @property
    def catalog_url(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.database_url or f"sqlite:///{(self.state_dir / 'catalog.db').absolute()}"

    def environ(self) -> dict[str, str]:
        """The `TUSD_*` variables which make the same settings in a child process."""
        return {
            PREFIX + f.name.upper(): _write(getattr(self, f.name))
            for f in dataclasses.fields(self)
            if getattr(self, f.name) is not None
        }


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment as programs that we start may have it."""
    secrets = {PREFIX + f.name.upper() for f in dataclasses.fields(Settings) if not f.repr}
    # What our own processes tell each other would only confuse one of ours in a program.
    return {
        name: text
        for name, text in environ.items()
        if name not in secrets and not name.startswith("_TUSD_")
    }


def _read(name: str, text: str, read: Callable[[str], Any]) -> Any:
    try:
        return read(text)
    except ValueError as error:
        raise BadSetting(f"{name} is {text!r}; it must be {error}.") from None


def _write(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)
