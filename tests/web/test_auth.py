"""Who is asking: every verb on every upload, before the first byte of a body is read."""

import base64
import hmac
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from flask import Flask

from tests.rooms import GIF, OCTETS, SECRET, Cut, Tus, Untouched, make_app, settings
from tests.services import wait_until
from tests.web.test_core import TUS
from tusd_server.app import create_app
from tusd_server.errors import BadSetting

NOW = datetime.now(UTC)
SOON = NOW + timedelta(hours=1)
VERBS = ["POST", "HEAD", "PATCH", "DELETE", "GET"]


def token(key: Any = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """A token as an identity provider makes it, with the claims that everybody has."""
    return jwt.encode({"sub": "alice", "exp": SOON, **claims}, key, algorithm=algorithm)


def bearer(text: str) -> str:
    return f"Authorization: Bearer {text}"


def create(authorization: str) -> str:
    return f"POST /files/\n{TUS}\nUpload-Length: 11\n{authorization}"


def public_pem(key: Any) -> str:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def p256_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_wants_a_token_and_reads_nothing_before(alice: Tus, verb: str) -> None:
    upload = alice.create()
    body = Untouched()
    path = "/files/" if verb == "POST" else f"/files/{upload}"
    response = alice.talk(
        f"""
        {verb} {path}
        Authorization: (absent)
        {TUS}
        Content-Type: {OCTETS}
        Upload-Length: 11
        Upload-Offset: 0
        """,
        f"""
        401
        {TUS}
        WWW-Authenticate: Bearer...
        Location: (absent)
        Upload-Offset: (absent)
        """,
        wsgi_input=body,
        CONTENT_LENGTH="11",
    )
    assert body.read_calls == 0
    if verb != "HEAD":
        assert response.text == "Authorization is missing; send `Authorization: Bearer <token>`.\n"
    assert alice.offset(upload) == 0


@pytest.mark.parametrize("verb", VERBS[1:])
def test_another_users_upload_does_not_exist(alice: Tus, verb: str) -> None:
    """404, never 403, and not a byte of the body is read."""
    upload = alice.create(20, body=GIF)
    body = Untouched()
    alice.other("mallory", staff=True).talk(
        f"""
        {verb} /files/{upload}
        {TUS}
        Content-Type: {OCTETS}
        Upload-Offset: 11
        """,
        f"""
        404
        {TUS}
        Upload-Offset: (absent)
        Upload-Metadata: (absent)
        """,
        wsgi_input=body,
        CONTENT_LENGTH="9",
    )
    assert body.read_calls == 0
    assert alice.offset(upload) == 11


def test_anothers_upload_and_none_at_all_are_told_alike(alice: Tus) -> None:
    upload = alice.create(body=GIF)
    mallory = alice.other("mallory")
    for verb in ("PATCH", "DELETE", "GET", "HEAD"):
        headers = {"Tus-Resumable": "1.0.0", "Content-Type": OCTETS, "Upload-Offset": "0"}
        there = mallory.send(verb, f"/files/{upload}", headers)
        nowhere = mallory.send(verb, "/files/24e533e02ec3bc40c387f1a0e460e216", headers)
        assert (there.status, there.data, list(there.headers)) == (
            nowhere.status,
            nowhere.data,
            list(nowhere.headers),
        )


@pytest.mark.parametrize(
    "refused",
    [
        "HEAD /files/{}\n" + TUS.replace("1.0.0", "2"),
        "PATCH /files/{}\n" + TUS + f"\nContent-Type: {OCTETS}\nUpload-Offset: 5",
        "PATCH /files/{}\n" + TUS + "\nUpload-Offset: 0",
        "PATCH /files/{}\n" + TUS + f"\nContent-Type: {OCTETS}\nUpload-Offset: +0",
        f"POST /files/\n{TUS}\nContent-Type: {OCTETS}\nUpload-Length: 5",
        f"POST /files/\n{TUS}\nContent-Type: text/plain\nUpload-Length: 11",
    ],
)
def test_what_is_refused_by_its_headers_is_refused_unread(alice: Tus, refused: str) -> None:
    body = Untouched()
    said = refused.format(alice.create())
    method, path = said.splitlines()[0].split()
    headers = dict(line.split(": ") for line in said.splitlines()[1:])
    response = alice.send(method, path, headers, wsgi_input=body, CONTENT_LENGTH="11")
    assert 400 <= response.status_code < 500
    assert body.read_calls == 0


@pytest.mark.parametrize(
    "authorization",
    [
        "Authorization:",
        "Authorization: Bearer",
        "Authorization: Bearer a b",
        "Authorization: Basic YWxpY2U6c2VjcmV0",
        "Authorization: Bearer not.a.token",
        "Authorization: Bearer é.è.ê",
        "Authorization: Bearer W10.W10.W10",
        "Authorization: " + "x" * 10_000,
        bearer(token(key="another secret that is longer than 32 bytes")),
        bearer(token(exp=NOW - timedelta(seconds=5))),
        bearer(token(nbf=SOON)),
        bearer(token(sub="")),
        bearer(token(sub="x" * 256)),
        bearer(jwt.encode({"sub": 7, "exp": SOON}, SECRET, algorithm="HS256")),
        bearer(jwt.encode({"exp": SOON}, SECRET, algorithm="HS256")),
        bearer(jwt.encode({"sub": "alice", "exp": "soon"}, SECRET, algorithm="HS256")),
        bearer(jwt.encode({"sub": "alice", "exp": SOON}, "", algorithm="none")),
        bearer(token(algorithm="HS512", key=SECRET * 2)),
        bearer(token(type="refresh")),
        bearer(token()[:-2]),
    ],
)
def test_tokens_that_do_not_hold(alice: Tus, authorization: str) -> None:
    response = alice.talk(
        create(authorization), f"401\n{TUS}\nWWW-Authenticate: Bearer...\nLocation: (absent)"
    )
    assert response.text.count("\n") == 1


def test_a_token_that_was_good_a_moment_ago_is_refused_once_it_expires(alice: Tus) -> None:
    short = token(exp=datetime.now(UTC) + timedelta(seconds=2))

    def status() -> int:
        headers = {"Tus-Resumable": "1.0.0", "Authorization": f"Bearer {short}"}
        return alice.send("HEAD", f"/files/{'0' * 32}", headers).status_code

    assert status() == 404
    wait_until(lambda: status() == 401, "The expiry")


def test_an_expired_token_says_so(alice: Tus) -> None:
    alice.talk(
        create(bearer(token(exp=NOW - timedelta(seconds=5)))),
        "401\n\nThe token has expired; get a new one.",
    )


def test_a_token_in_the_url_or_a_cookie_is_none(alice: Tus) -> None:
    """URLs end in logs, cookies are sent for other people's pages."""
    said = f"{TUS}\nUpload-Length: 11\nAuthorization: (absent)"
    alice.talk(f"POST /files/?jwt={token()}\n{said}", "401")
    alice.talk(f"POST /files/\n{said}\nCookie: access_token_cookie={token()}", "401")


def test_a_token_of_somebody_elses_making(alice: Tus) -> None:
    """`sub` is all that is needed."""
    response = alice.talk(create(bearer(token())), "201")
    location = response.headers["Location"].removeprefix("http://localhost")
    alice.talk(f"HEAD {location}\n{TUS}", "200")


def test_staff_must_be_true_itself(alice: Tus) -> None:
    alice.create(body=GIF)
    for claim, seen in ((True, 1), (False, 0), ("true", 0), (1, 0)):
        text = bearer(token(sub="boss", staff=claim))
        answer = alice.talk(f"GET /api/v1/media\n{text}", "200").json
        assert answer is not None
        assert len(answer["items"]) == seen


def test_rs256(tmp_path: Path, rsa_key: rsa.RSAPrivateKey) -> None:
    pem = public_pem(rsa_key)
    with make_app(settings(tmp_path, jwt_public_key=pem)) as app:
        tus = Tus(app)
        tus.talk(create(bearer(token(rsa_key, "RS256"))), "201")
        stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        tus.talk(create(bearer(token(stranger, "RS256"))), "401")
        tus.talk(create(bearer(signed_with_a_public_key(pem))), "401")
        tus.talk(create("Authorization: (absent)"), "401")


def signed_with_a_public_key(pem: str) -> str:
    """An HS256 token whose secret is the public key, which everybody knows."""
    parts = (b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"alice"}')
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = base64.urlsafe_b64encode(hmac.digest(pem.encode(), text, "sha256"))
    return (text + b"." + signature.rstrip(b"=")).decode()


def test_es256_from_a_file(tmp_path: Path, p256_key: ec.EllipticCurvePrivateKey) -> None:
    pem = tmp_path / "key.pem"
    pem.write_text(public_pem(p256_key))
    with make_app(settings(tmp_path, jwt_public_key=str(pem))) as app:
        tus = Tus(app)
        tus.talk(create(bearer(token(p256_key, "ES256"))), "201")
        stranger = ec.generate_private_key(ec.SECP256R1())
        tus.talk(create(bearer(token(stranger, "ES256"))), "401")
        tus.talk(create(bearer(token(SECRET, "HS256"))), "401")


def test_keys_that_are_none(tmp_path: Path, rsa_key: rsa.RSAPrivateKey) -> None:
    private = rsa_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    keys = {
        public_pem(ed25519.Ed25519PrivateKey.generate()): "must be the PEM",
        public_pem(ec.generate_private_key(ec.SECP384R1())): "must be the PEM",
        private: "must be the PEM",
        "-----BEGIN PUBLIC KEY-----\nnonsense": "must be the PEM",
        str(tmp_path / "missing.pem"): "neither a PEM text nor the path",
        str(tmp_path): "neither a PEM text nor the path",
    }
    for number, (key, sentence) in enumerate(keys.items()):
        with pytest.raises(BadSetting, match=f"TUSD_JWT_PUBLIC_KEY .*{sentence}"):
            create_app(settings(tmp_path / str(number), jwt_public_key=key))


def test_audience_and_issuer(tmp_path: Path) -> None:
    config = settings(tmp_path, jwt_audience="uploads", jwt_issuer="https://id.example")
    right: dict[str, Any] = {"aud": "uploads", "iss": "https://id.example"}
    with make_app(config) as app:
        tus = Tus(app)
        tus.talk(create(bearer(token(**right))), "201")
        tus.talk(create(bearer(token(**{**right, "aud": ["others", "uploads"]}))), "201")
        for wrong in ({"aud": "others"}, {"iss": "https://evil.example"}):
            tus.talk(create(bearer(token(**{**right, **wrong}))), "401")
        tus.talk(create(bearer(token(aud="uploads"))), "401")
        tus.talk(create(bearer(token(iss="https://id.example"))), "401")


def test_our_own_tokens_hold_where_an_audience_and_an_issuer_are_asked_for(tmp_path: Path) -> None:
    """`tusd-server token` must print one that its server takes."""
    config = settings(tmp_path, jwt_audience="uploads", jwt_issuer="https://id.example")
    with make_app(config) as app:
        assert len(Tus(app).create()) == 32


def test_off_is_for_trusted_networks(tmp_path: Path) -> None:
    with make_app(settings(tmp_path, auth="off")) as app:
        tus = Tus(app)
        tus.token = None
        upload = tus.create(body=GIF)
        assert tus.get(f"/files/{upload}").data == GIF
        assert "anonymous" in (tmp_path / "data" / f"{upload}.info").read_text()
        tus.talk(f"HEAD /files/{upload}\n{TUS}\nAuthorization: Bearer nonsense", "200")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_need_no_token(app: Flask, path: str) -> None:
    Tus(app).talk(f"GET {path}\nAuthorization: (absent)", "200")


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /api/v1/media",
        "GET /api/v1/media/x",
        "GET /api/v1/media/x/file",
        "GET /api/v1/media/x/thumbnail",
        "GET /api/v1/posts/x",
        "POST /api/v1/posts/x/published",
    ],
)
def test_the_json_api_wants_a_token_too(app: Flask, request_line: str) -> None:
    response = Tus(app).talk(
        f"{request_line}\nAuthorization: (absent)",
        "401\nContent-Type: application/problem+json\nWWW-Authenticate: Bearer...",
    )
    assert response.json == {
        "title": "Unauthorized",
        "status": 401,
        "detail": "Authorization is missing; send `Authorization: Bearer <token>`.",
    }


def test_a_body_that_is_allowed_is_read(alice: Tus) -> None:
    """The counterpart of all those that are not."""
    upload = alice.create()
    assert alice.append(upload, 0, GIF, wsgi_input=Cut(GIF)).status_code == 204
