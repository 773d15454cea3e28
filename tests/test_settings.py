"""Settings: read from `TUSD_*` variables, one sentence for each bad one."""

import dataclasses
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.limits import Limits
from tusd_server.errors import BadSetting
from tusd_server.settings import MIB, PREFIX, Settings, without_secrets

FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
SECRET = "s" * 32

# One value for each setting, other than its default.
OTHERS: dict[str, tuple[str, Any]] = {
    "data_dir": ("/srv/tusd", Path("/srv/tusd")),
    "host": ("0.0.0.0", "0.0.0.0"),
    "port": ("0", 0),
    "workers": ("17", 17),
    "log_level": ("debug", "debug"),
    "access_log": ("yes", True),
    "auth": ("off", "off"),
    "jwt_secret": (SECRET, SECRET),
    "jwt_public_key": ("/etc/key.pem", "/etc/key.pem"),
    "jwt_audience": ("uploads", "uploads"),
    "jwt_issuer": ("https://id.example", "https://id.example"),
    "max_size": ("1GiB", 1024 * MIB),
    "simple_max_size": ("10MiB", 10 * 1024 * 1024),
    "answer_wait_seconds": ("2.5", 2.5),
    "network_timeout_seconds": ("0.5", 0.5),
    "min_bytes_per_second": ("0", 0),
    "lock_timeout_seconds": ("7", 7.0),
    "shutdown_seconds": ("7.5", 7.5),
    "durability": ("chunk", "chunk"),
    "expire_unfinished_seconds": ("3600", 3600.0),
    "expire_rejected_seconds": ("3600", 3600.0),
    "expire_finished_seconds": ("3600", 3600.0),
    "user_max_bytes": ("1GiB", 1024 * MIB),
    "user_max_unfinished": ("17", 17),
    "user_creations_per_minute": ("17", 17),
    "trust_proxy": ("2", 2),
    "cors_origins": (
        "https://a.example, https://b.example",
        ("https://a.example", "https://b.example"),
    ),
    "hooks_http": (
        "https://a.example/hook, http://u:p@[::1]:8000",
        ("https://a.example/hook", "http://u:p@[::1]:8000"),
    ),
    "hooks_dir": ("/", Path("/")),
    "hooks_enabled": ("pre-finish,pre-create", ("pre-finish", "pre-create")),
    "hooks_http_forward_headers": ("Authorization, X-Team", ("Authorization", "X-Team")),
    "hooks_http_retry": ("1", 1),
    "hooks_http_backoff_seconds": ("0.1", 0.1),
    "hooks_timeout_seconds": ("5", 5.0),
    "hooks_progress_seconds": ("0.2", 0.2),
    "hooks_secret": ("h" * 24, "h" * 24),
    "database_url": ("sqlite:////tmp/x.db", "sqlite:////tmp/x.db"),
    "redis_url": ("redis://localhost", "redis://localhost"),
    "worker_concurrency": ("17", 17),
    "job_attempts": ("2", 2),
    "retry_hours": ("0.5", 0.5),
    "retention_days": ("30", 30),
    "job_lease_seconds": ("5", 5.0),
    "media_timeout_seconds": ("5", 5.0),
    "strip_metadata": ("1", True),
    "clamav": ("[::1]:3310", "[::1]:3310"),
    "url_lifetime_seconds": ("5", 5.0),
    "public_url": ("https://media.example/below", "https://media.example/below"),
    "posts_url": ("https://app.example:8443/m?a=b", "https://app.example:8443/m?a=b"),
    "posts_secret": (f"whsec_{SECRET},{SECRET}", f"whsec_{SECRET},{SECRET}"),
    "posts_timeout_seconds": ("5", 5.0),
    "events_lifetime_seconds": ("30", 30.0),
    "embed_origins": (
        "https://app.example, http://localhost:3000",
        ("https://app.example", "http://localhost:3000"),
    ),
    "video_min_seconds": ("0.1", 0.1),
    "video_max_seconds": ("600", 600.0),
    "video_max_side": ("8192", 8192),
    "video_max_size": ("2g", 2048 * MIB),
    "image_min_side": ("1", 1),
    "image_max_side": ("5712", 5712),
    "image_max_size": ("40 MB", 40 * MIB),
    "thumbnail_side": ("320", 320),
    "thumbnail_format": ("webp", "webp"),
    "thumbnail_sizes": ("320, 1280,320", (320, 1280)),
    "storyboard": ("on", 25),
    "renditions": ("480p, 1080", (480, 1080)),
    "rendition_timeout_seconds": ("5", 5.0),
}
# What a setting cannot be without.
COMPANIONS = {"posts_url": {"posts_secret": SECRET}}
WHOLE = ["", " ", "-1", "+5", "1_0", "5.0", "٣", "five", "1e3"]
SECONDS = ["", "-1", "0", "nan", "inf", "-inf", "soon", "1e10", "5 s"]
SIZES = [
    "",
    "0",
    "0MiB",
    "-5",
    "+5",
    "5.5M",
    "1_0",
    "٣M",
    "M",
    "MiB",
    "five",
    "5 Z",
    "5 bytes",
    "5KK",
]
SIDES = [*WHOLE, "0"]
URLS = [
    "app.example",
    "//app.example",
    "ftp://app.example",
    "file:///etc/passwd",
    "http://",
    "http:///path",
    "http://:80/",
    "http://app.example:x",
    "http://app.example:99999",
    "http://app.example:0",
    "http://[::1",
    "http://app.example/a b",
    "http://app.example/\n",
    "http://app.example/\x7f",
]
BAD: dict[str, list[str]] = {
    "data_dir": ["~nobody at all/data"],
    "port": [*WHOLE, "65536", "99999999999"],
    "workers": SIDES,
    "log_level": ["", "loud", "INFO"],
    "access_log": ["", "2", "maybe"],
    "auth": ["", "OFF", "none", "basic"],
    "jwt_secret": ["short", "s" * 31],
    "max_size": SIZES,
    "network_timeout_seconds": SECONDS,
    "min_bytes_per_second": WHOLE,
    "lock_timeout_seconds": SECONDS,
    "shutdown_seconds": SECONDS,
    "durability": ["", "always", "Finish"],
    "expire_unfinished_seconds": SECONDS,
    "expire_rejected_seconds": SECONDS,
    "expire_finished_seconds": SECONDS,
    "retention_days": [*WHOLE, "36501"],
    "user_max_bytes": [text for text in SIZES if text != "0"],
    "user_max_unfinished": WHOLE,
    "user_creations_per_minute": WHOLE,
    "trust_proxy": WHOLE,
    "hooks_http": [
        "hooks.example",
        "ftp://a",
        "https://",
        "http://a:99999",
        "http://a, b",
        "http://a:0",
    ],
    "hooks_dir": ["/no/such/folder", "/etc/hostname"],
    "hooks_enabled": ["pre-create,later", "first-bytes", "Pre-Create"],
    "hooks_http_retry": SIDES,
    "hooks_http_backoff_seconds": SECONDS,
    "hooks_timeout_seconds": SECONDS,
    "hooks_progress_seconds": SECONDS,
    "hooks_secret": ["short", "whsec_????", "h" * 23],
    "worker_concurrency": SIDES,
    "job_attempts": SIDES,
    "retry_hours": [*SECONDS, "8761"],
    "job_lease_seconds": SECONDS,
    "media_timeout_seconds": SECONDS,
    "clamav": ["clamd", ":3310", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:99999"],
    "strip_metadata": ["maybe", "2"],
    "url_lifetime_seconds": SECONDS,
    "public_url": [*URLS, "https://media.example/?a=b", "https://media.example/#a"],
    "posts_url": URLS,
    "posts_secret": ["short", "whsec_", "whsec_c2hvcnQ=", f"whsec_{SECRET}é", f"{SECRET},short"],
    "posts_timeout_seconds": SECONDS,
    "events_lifetime_seconds": SECONDS,
    "embed_origins": ["*", "app.example", "https://app.example/", "https://a b", "javascript:"],
    "video_min_seconds": SECONDS,
    "video_max_seconds": SECONDS,
    "video_max_side": SIDES,
    "video_max_size": SIZES,
    "image_min_side": SIDES,
    "image_max_side": SIDES,
    "image_max_size": SIZES,
    "thumbnail_side": [*SIDES, "4097"],
    "thumbnail_format": ["", "png", "JPEG"],
    "thumbnail_sizes": ["five", "0", "320;640", "4097", "1,2,3,4,5,6,7,8,9"],
    "storyboard": ["", "yes", "101", "-1", "2.5"],
    "renditions": ["hd", "720i", "100p", "4320p", "p"],
    "rendition_timeout_seconds": SECONDS,
}


def variable(name: str) -> str:
    return PREFIX + name.upper()


def test_nothing_has_to_be_set() -> None:
    assert Settings.from_env({}) == Settings()
    assert Settings.from_env({"PATH": "/bin", "tusd_port": "7", "XTUSD_PORT": "7"}) == Settings()


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_has_a_sentence_that_explains_it(name: str) -> None:
    doc = FIELDS[name].metadata["doc"]
    assert doc.endswith(".")
    assert len(doc) > 20


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_has_a_variable(name: str) -> None:
    text, value = OTHERS[name]
    others = COMPANIONS.get(name, {})
    settings = Settings.from_env({variable(name): text}, **others)
    assert getattr(settings, name) == value
    assert settings == dataclasses.replace(Settings(), **{name: value}, **others)
    assert settings != Settings()


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in BAD.items() for text in texts]
)
def test_bad_settings_are_one_sentence(name: str, text: str) -> None:
    """It names the variable and what would be right."""
    with pytest.raises(BadSetting) as caught:
        Settings.from_env({variable(name): text})
    sentence = str(caught.value)
    assert sentence.startswith(f"{variable(name)} is ")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert repr(text) in sentence or name in ("jwt_secret", "posts_secret")


def test_some_of_the_sentences() -> None:
    for name, text, sentence in (
        ("port", "x", "TUSD_PORT is 'x'; it must be a whole number, such as 60."),
        ("port", "65536", "TUSD_PORT is '65536'; it must be a port between 0 and 65535."),
        ("auth", "no", "TUSD_AUTH is 'no'; it must be one of jwt, off."),
        (
            "max_size",
            "x",
            "TUSD_MAX_SIZE is 'x'; it must be a size in bytes, such as 524288000 or 500MiB.",
        ),
    ):
        with pytest.raises(BadSetting) as caught:
            Settings.from_env({variable(name): text})
        assert str(caught.value) == sentence


def test_a_misspelt_setting_is_not_passed_over() -> None:
    with pytest.raises(BadSetting, match=r"^TUSD_MAXSIZE is not a setting; docs/configuration"):
        Settings.from_env({"TUSD_MAXSIZE": "5"})


def test_a_secret_is_not_shown() -> None:
    secrets: dict[str, Any] = {
        "jwt_secret": "s" * 40,
        "database_url": "postgresql://user:password@host",
        "redis_url": "redis://:password@host",
        "posts_url": "https://user:password@host",
        "posts_secret": SECRET,
    }
    shown = repr(Settings(**secrets))
    assert not [text for text in secrets.values() if text in shown]
    with pytest.raises(BadSetting) as caught:
        Settings.from_env({"TUSD_JWT_SECRET": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_two_ways_to_check_tokens_are_one_too_many() -> None:
    with pytest.raises(BadSetting, match="TUSD_JWT_SECRET or TUSD_JWT_PUBLIC_KEY, not both"):
        Settings.from_env({"TUSD_JWT_SECRET": SECRET, "TUSD_JWT_PUBLIC_KEY": "key.pem"})


@pytest.mark.parametrize(
    ("least", "most"),
    [("image_min_side", "image_max_side"), ("video_min_seconds", "video_max_seconds")],
)
def test_limits_between_which_nothing_fits_are_refused(least: str, most: str) -> None:
    with pytest.raises(BadSetting) as caught:
        Settings.from_env({variable(least): "700", variable(most): "600"})
    assert str(caught.value) == (
        f"{variable(least)} is 700, which is more than {variable(most)}, 600; "
        "nothing could be accepted."
    )
    Settings.from_env({variable(least): "600", variable(most): "600"})


@pytest.mark.parametrize("text", ["60", "0.5", ".5", "5.", "1e3", "86400.0"])
def test_seconds_and_their_parts(text: str) -> None:
    assert Settings.from_env({"TUSD_SHUTDOWN_SECONDS": text}).shutdown_seconds == float(text)


@pytest.mark.parametrize("text", ["1_0", "٣", " 5", "+5", "nan", "inf", "0", "0x5", ""])
def test_what_is_no_plain_number_of_seconds(text: str) -> None:
    with pytest.raises(BadSetting, match="a positive number of seconds, such as 60 or"):
        Settings.from_env({"TUSD_SHUTDOWN_SECONDS": text})


def test_calls_to_a_posts_backend_are_signed() -> None:
    with pytest.raises(BadSetting, match=r"^TUSD_POSTS_URL is set without TUSD_POSTS_SECRET; "):
        Settings.from_env({"TUSD_POSTS_URL": "https://app.example/media"})
    with pytest.raises(BadSetting) as caught:
        Settings.from_env({"TUSD_POSTS_SECRET": "hunter2"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("524288000", 500 * MIB),
        ("5B", 5),
        ("5K", 5 * 1024),
        ("5kb", 5 * 1024),
        ("5KiB", 5 * 1024),
        ("5 MiB", 5 * MIB),
        ("1T", 1024 * 1024 * MIB),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert Settings.from_env({"TUSD_MAX_SIZE": text}).max_size == size


def test_a_quota_of_nothing_is_none_at_all() -> None:
    """Where a size of nothing would be no size."""
    assert Settings.from_env({"TUSD_USER_MAX_BYTES": "0"}).user_max_bytes == 0


def test_what_the_command_line_reads_does_not_disturb_the_server() -> None:
    environ = {"TUSD_URL": "https://media.example/files/", "TUSD_TOKEN": "a.b.c"}
    assert Settings.from_env(environ) == Settings()


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("*", ("*",)),
        ("", ()),
        (" , ", ()),
        ("https://a.example,", ("https://a.example",)),
    ],
)
def test_origins(text: str, origins: tuple[str, ...]) -> None:
    assert Settings.from_env({"TUSD_CORS_ORIGINS": text}).cors_origins == origins


@pytest.mark.parametrize(
    "name",
    [
        "jwt_secret",
        "database_url",
        "redis_url",
        "jwt_audience",
        "posts_url",
        "posts_secret",
        "public_url",
    ],
)
def test_an_empty_variable_is_one_that_is_not_set(name: str) -> None:
    assert Settings.from_env({variable(name): ""}) == Settings()


def test_flags_come_before_variables() -> None:
    environ = {"TUSD_PORT": "7", "TUSD_HOST": "::1"}
    settings = Settings.from_env(environ, port=8, host=None, data_dir=Path("/x"))
    assert (settings.port, settings.host, settings.data_dir) == (8, "::1", Path("/x"))


def test_the_environment_of_a_child_makes_the_same_settings() -> None:
    for settings in (
        Settings(),
        Settings(cors_origins=(), access_log=True),
        *(
            dataclasses.replace(Settings(), **{name: OTHERS[name][1]}, **COMPANIONS.get(name, {}))
            for name in FIELDS
        ),
    ):
        environ = settings.environ()
        assert all(name.startswith(PREFIX) for name in environ)
        assert Settings.from_env(environ) == settings


@hypothesis.settings(deadline=None)
@given(st.floats(min_value=1e-9, max_value=9e8), st.integers(min_value=1))
def test_numbers_survive_the_way_to_a_child(seconds: float, size: int) -> None:
    settings = Settings(network_timeout_seconds=seconds, max_size=size)
    assert Settings.from_env(settings.environ()) == settings


@hypothesis.settings(deadline=None)
@given(st.sampled_from(sorted(FIELDS)), st.text(st.characters(exclude_characters="\0")))
def test_any_text_is_a_setting_or_refused(name: str, text: str) -> None:
    try:
        settings = Settings.from_env({variable(name): text})
    except BadSetting:
        return
    assert Settings.from_env(settings.environ()) == settings


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 7  # type: ignore[misc]


def test_the_rules_of_media() -> None:
    assert Settings().limits == Limits()
    assert Settings(image_max_side=5712).limits == Limits(image_max_side=5712)


def test_places_follow_the_data_directory() -> None:
    settings = Settings(data_dir=Path("/srv/tusd"))
    assert settings.state_dir == Path("/srv/tusd/.tusd-server")
    assert settings.catalog_url == "sqlite:////srv/tusd/.tusd-server/catalog.db"
    assert Settings(database_url="sqlite:///x").catalog_url == "sqlite:///x"


def test_home_directories_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    settings = Settings.from_env({"TUSD_DATA_DIR": "~/data"})
    assert settings.data_dir == Path("/home/alice/data")


def test_programs_get_no_secrets_and_nothing_of_our_own_processes() -> None:
    ours = {
        **{variable(name): "x" for name in FIELDS},
        "_TUSD_SUPERVISOR": "7",
        "_TUSD_BIND": "fd://5",
        "PATH": "/bin",
    }
    given = without_secrets(ours)
    assert given["PATH"] == "/bin"
    assert given["TUSD_DATA_DIR"] == "x"
    secrets = ("JWT_SECRET", "HOOKS_HTTP", "HOOKS_SECRET", "DATABASE_URL", "REDIS_URL")
    secrets += ("POSTS_URL", "POSTS_SECRET")
    assert ours.keys() - given.keys() == {
        "_TUSD_SUPERVISOR",
        "_TUSD_BIND",
        *map("TUSD_{}".format, secrets),
    }
