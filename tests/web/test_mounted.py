"""The application inside another one: as a blueprint, and behind a dispatcher."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask, Response, request, session
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, TestResponse

from tests.rooms import MP4, OCTETS, Tus, make_app, metadata, run_jobs, settings
from tusd_server import create_blueprint
from tusd_server.settings import Settings
from tusd_server.web.mounted import mounted_blueprint

TUS = {"Tus-Resumable": "1.0.0"}


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    return settings(tmp_path)


@pytest.fixture
def inner(config: Settings) -> Iterator[Flask]:
    with make_app(config) as app:
        yield app


@pytest.fixture
def shop() -> Flask:
    """Somebody's application, with habits of its own."""
    app = Flask(__name__)
    app.secret_key = "the shop's"
    app.config["MAX_CONTENT_LENGTH"] = 4
    app.config["JWT_SECRET_KEY"] = "the shop's own, which is of no concern"
    app.register_error_handler(Exception, lambda error: (f"The shop failed: {error}", 500))
    app.register_error_handler(404, lambda _: ("The shop has no such page.", 404))

    @app.get("/")
    def visit() -> str:
        session["visits"] = session.get("visits", 0) + 1
        return f"visit {session['visits']}"

    return app


class Visitor:
    """Sends requests with the token of a user of the inner application."""

    def __init__(self, app: Flask, inner: Flask, prefix: str = "/media") -> None:
        self.client = Client(app, use_cookies=True)
        self.prefix = prefix
        self.token = {"Authorization": f"Bearer {Tus(inner).token}"}

    def send(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> TestResponse:
        given = {**TUS, **self.token, **(headers or {})}
        return self.client.open(
            self.prefix + path, method=method, headers=given, data=body or None, buffered=True
        )

    def upload(self) -> TestResponse:
        """A whole file in one POST."""
        headers = {
            "Upload-Length": str(len(MP4)),
            "Content-Type": OCTETS,
            "Upload-Metadata": metadata(filename="clip.mp4"),
        }
        return self.send("POST", "/files/", headers, MP4)


def test_events_are_streamed_through_a_blueprint(
    shop: Flask, inner: Flask, config: Settings
) -> None:
    shop.register_blueprint(mounted_blueprint("media", inner), url_prefix="/media")
    visitor = Visitor(shop, inner)
    made = visitor.upload()
    upload = made.headers["Location"].rpartition("/")[2]
    for _ in range(2):
        stream = visitor.client.get(
            f"/media/api/v1/media/upload/{upload}/events", headers=visitor.token
        )
        events = (part.decode() for part in stream.response)
        assert next(events).startswith("retry: ")
        assert "event: state" in next(events)
        stream.close()
    run_jobs(inner, config)
    told = visitor.send("GET", f"/api/v1/media/upload/{upload}/events").text
    assert '"state":"ready"' in told
    assert visitor.client.get("/").text == "visit 1"


@pytest.mark.parametrize("prefix", ["/media", "/ä/ö"])
def test_an_upload_through_a_blueprint_and_its_links(
    shop: Flask, inner: Flask, config: Settings, prefix: str
) -> None:
    shop.register_blueprint(mounted_blueprint("media", inner), url_prefix=prefix)
    visitor = Visitor(shop, inner, prefix)
    made = visitor.upload()
    assert made.status_code == 201
    quoted = prefix.replace("ä", "%C3%A4").replace("ö", "%C3%B6")
    assert made.headers["Location"].startswith(f"http://localhost{quoted}/files/")
    run_jobs(inner, config)
    medium = visitor.send("GET", f"/api/v1/media/{made.headers['Upload-Media-Id']}").json
    assert medium is not None
    assert medium["status"] == "ready"
    # The link alone, without a token.
    assert visitor.client.get(medium["url"], buffered=True).data == MP4


def test_the_prefix_without_a_slash_leads_to_the_page(shop: Flask, inner: Flask) -> None:
    shop.register_blueprint(mounted_blueprint("media", inner), url_prefix="/media")
    answer = Client(shop).get("/media")
    assert answer.status_code == 308
    assert answer.headers["Location"] == "http://localhost/media/"


PREFLIGHT = {"Origin": "https://a.example", "Access-Control-Request-Method": "PATCH"}
REQUESTS = [
    ("OPTIONS", "/files/", {}, b""),
    ("OPTIONS", "/files/", PREFLIGHT, b""),
    ("POST", "/files", {"Upload-Length": "20"}, b""),
    ("POST", "/files/", {"Upload-Length": "x"}, b""),
    ("POST", "/files/", {"Upload-Length": "20", "Authorization": "Bearer x"}, b""),
    ("HEAD", "/files/none", {}, b""),
    ("PATCH", "/files/none", {"Upload-Offset": "0", "Content-Type": OCTETS}, b"0123456789"),
    ("POST", "/files/none", {"X-HTTP-Method-Override": "HEAD"}, b""),
    ("PATCH", "/files/", {}, b""),
    ("GET", "/files//none", {}, b""),
    ("GET", "/api/v1/media", {}, b""),
    ("GET", "/api/v1/media/none", {}, b""),
    ("GET", "/api/v1/media/%20%2F", {}, b""),
    ("DELETE", "/api/v1/media", {}, b""),
    ("GET", "/nothing/ä", {}, b""),
    ("GET", "/healthz", {}, b""),
    ("HEAD", "/healthz", {}, b""),
    ("GET", "/api/v1/docs", {}, b""),
    ("GET", "/api/v1/openapi.json", {}, b""),
    ("GET", "/", {"Authorization": ""}, b""),
]  # fmt: skip


def test_a_blueprint_answers_as_the_application_behind_a_dispatcher_does(
    shop: Flask, inner: Flask
) -> None:
    plain = Flask("plain")
    plain.wsgi_app = DispatcherMiddleware(plain.wsgi_app, {"/media": inner})  # type: ignore[method-assign]
    shop.register_blueprint(mounted_blueprint("media", inner), url_prefix="/media")
    one, other = Visitor(plain, inner), Visitor(shop, inner)
    for method, path, headers, body in REQUESTS:
        expected = one.send(method, path, headers, body)
        found = other.send(method, path, headers, body)
        assert _comparable(found) == _comparable(expected), (method, path)


def _comparable(answer: TestResponse) -> tuple[int, list[tuple[str, str]], bytes]:
    """All of an answer; upload ids and their times are those of each upload."""
    varying = {"Location", "Upload-Expires"}
    fields = [(name, "" if name in varying else value) for name, value in answer.headers]
    return answer.status_code, sorted(fields), answer.data


def test_the_outer_application_stays_as_it_is(shop: Flask, inner: Flask) -> None:
    shop.register_blueprint(mounted_blueprint("media", inner), url_prefix="/media")
    visitor = Visitor(shop, inner)
    assert visitor.client.get("/").text == "visit 1"
    visitor.upload()
    answer = visitor.client.get("/", headers={"Origin": "https://a.example"})
    assert answer.text == "visit 2"
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert visitor.client.get("/files/").text == "The shop has no such page."
    assert visitor.client.post("/").text.startswith("The shop failed: 405")


def test_what_the_outer_application_does_around_requests_is_done(shop: Flask, inner: Flask) -> None:
    seen: list[str] = []

    @shop.before_request
    def closed_on_mondays() -> Response | None:
        seen.append(request.path)
        return Response("Monday", 403) if request.args.get("day") == "monday" else None

    @shop.after_request
    def sign(response: Response) -> Response:
        response.headers["X-Shop"] = "ours"
        return response

    shop.register_blueprint(mounted_blueprint("media", inner), url_prefix="/media")
    visitor = Visitor(shop, inner)
    assert visitor.upload().headers["X-Shop"] == "ours"
    assert visitor.send("GET", "/api/v1/media?day=monday").text == "Monday"
    assert seen == ["/media/files/", "/media/api/v1/media"]


def test_two_blueprints_side_by_side(tmp_path: Path, shop: Flask) -> None:
    with make_app(settings(tmp_path / "one")) as one, make_app(settings(tmp_path / "two")) as two:
        shop.register_blueprint(mounted_blueprint("one", one), url_prefix="/one")
        shop.register_blueprint(mounted_blueprint("two", two), url_prefix="/two")
        made = Visitor(shop, one, "/one").upload()
        media = made.headers["Upload-Media-Id"]
        assert Visitor(shop, one, "/one").send("GET", f"/api/v1/media/{media}").status_code == 200
        assert Visitor(shop, two, "/two").send("GET", f"/api/v1/media/{media}").status_code == 404


def test_create_blueprint_takes_settings(config: Settings, shop: Flask) -> None:
    shop.register_blueprint(create_blueprint(config), url_prefix="/media")
    answer = Client(shop).options("/media/files/")
    assert answer.headers["Tus-Max-Size"] == str(config.max_size)
