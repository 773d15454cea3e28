"""Signatures, against the published implementation and the published example."""

import base64
from collections.abc import Callable

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from hooks.signing import NotSigned, Signer, keys_of

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(b"another secret of 24 bytes and more").decode()
BODY = b'{"test": 2432232314}'
SENT_AT = 1614265330


def at(seconds: float) -> Callable[[], float]:
    return lambda: seconds


def test_the_published_example() -> None:
    assert Signer(SECRET, at(SENT_AT)).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", BODY) == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": str(SENT_AT),
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize("body", [b"", BODY, "Füße 🎉".encode()])
def test_others_believe_us_and_we_believe_others(body: bytes) -> None:
    theirs = Webhook(SECRET)
    theirs.verify(body, Signer(SECRET).sign("m-1", body), json_parse=False)
    ours = Signer(SECRET).sign("m-1", body)
    with pytest.raises(WebhookVerificationError):
        theirs.verify(body + b" ", ours, json_parse=False)
    assert Signer(SECRET).verify(ours, body) == "m-1"


def test_a_plain_secret_is_its_own_bytes() -> None:
    plain = "a plain-text secret, 24 bytes".replace(" ", "_").replace(",", "")
    Webhook(plain.encode()).verify(BODY, Signer(plain).sign("m-1", BODY))


def test_base64_needs_no_padding() -> None:
    assert keys_of(OTHER.rstrip("=")) == keys_of(OTHER)


@pytest.mark.parametrize("both", [f"{SECRET},{OTHER}", f"{SECRET} {OTHER}", f" {OTHER}, {SECRET} "])
def test_secrets_are_replaced_one_side_at_a_time(both: str) -> None:
    headers = Signer(both).sign("m-1", BODY)
    for one in (SECRET, OTHER):
        Webhook(one).verify(BODY, headers)
        assert Signer(one).verify(headers, BODY) == "m-1"
        assert Signer(both).verify(Signer(one).sign("m-1", BODY), BODY) == "m-1"


def test_names_of_headers_have_no_case_and_unknown_versions_do_no_harm() -> None:
    headers = {name.title(): text for name, text in Signer(SECRET).sign("m-1", BODY).items()}
    headers["Webhook-Signature"] = "v1a,abcd v2,x v1, nonsense " + headers["Webhook-Signature"]
    assert Signer(SECRET).verify(headers, BODY) == "m-1"


def test_five_minutes_either_way_and_no_more() -> None:
    headers = Signer(SECRET, at(SENT_AT)).sign("m-1", BODY)
    for off in (-300, 300):
        assert Signer(SECRET, at(SENT_AT + off)).verify(headers, BODY) == "m-1"
    for off in (-301, 301):
        with pytest.raises(NotSigned, match="5 minutes"):
            Signer(SECRET, at(SENT_AT + off)).verify(headers, BODY)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook-id", None),
        ("webhook-id", ""),
        ("webhook-id", "m-2"),
        ("webhook-id", "m.1"),
        ("webhook-id", "é"),
        ("webhook-timestamp", None),
        ("webhook-timestamp", f"+{SENT_AT}"),
        ("webhook-timestamp", f"{SENT_AT}.0"),
        ("webhook-timestamp", f"{SENT_AT + 1}"),
        ("webhook-timestamp", "9" * 400),
        ("webhook-timestamp", "١٦١٤٢٦٥٣٣٠"),
        ("webhook-signature", None),
        ("webhook-signature", ""),
        ("webhook-signature", "v1,"),
        ("webhook-signature", "v1"),
        ("webhook-signature", "v1,é"),
        ("webhook-signature", "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ],
)
def test_what_is_not_signed(name: str, value: str | None) -> None:
    headers: dict[str, str] = Signer(SECRET, at(SENT_AT)).sign("m-1", BODY)
    headers.pop(name)
    if value is not None:
        headers[name] = value
    with pytest.raises(NotSigned):
        Signer(SECRET, at(SENT_AT)).verify(headers, BODY)


def test_another_body_or_secret_is_not_signed() -> None:
    headers = Signer(SECRET).sign("m-1", BODY)
    for signer, body in ((Signer(SECRET), BODY + b" "), (Signer(OTHER), BODY)):
        with pytest.raises(NotSigned, match="does not hold"):
            signer.verify(headers, body)


@pytest.mark.parametrize(
    "secrets",
    ["", " , ", "short", "whsec_", "whsec_c2hvcnQ=", f"{SECRET},short", "whsec_é", "whsec_a b"],
)
def test_secrets_that_cannot_be_used(secrets: str) -> None:
    with pytest.raises(ValueError, match=r"24 bytes|base64"):
        Signer(secrets)


@pytest.mark.parametrize("message_id", ["", "a.b", "a b", "é", "x" * 256, "a\n"])
def test_ids_that_cannot_be_signed(message_id: str) -> None:
    with pytest.raises(ValueError, match="without a dot"):
        Signer(SECRET).sign(message_id, BODY)
