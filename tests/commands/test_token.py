import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.live import SECRET
from tests.shell import Cli


def test_claims(cli: Cli) -> None:
    done = cli("token", "--user", "alice", "--hours", "2", TUSD_JWT_SECRET=SECRET)
    claims = jwt.decode(done.stdout.strip(), SECRET, algorithms=["HS256"])
    assert claims["sub"] == "alice"
    assert claims["exp"] == pytest.approx(time.time() + 7200, abs=60)
    assert "staff" not in claims
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)


def test_staff(cli: Cli) -> None:
    done = cli("token", "--user", "root", "--staff", TUSD_JWT_SECRET=SECRET)
    assert jwt.decode(done.stdout.strip(), SECRET, algorithms=["HS256"])["staff"] is True


def test_audience_and_issuer_of_this_installation(cli: Cli) -> None:
    environ = {"TUSD_JWT_AUDIENCE": "uploads", "TUSD_JWT_ISSUER": "us"}
    done = cli("token", "--user", "alice", TUSD_JWT_SECRET=SECRET, **environ)
    claims = jwt.decode(
        done.stdout.strip(), SECRET, algorithms=["HS256"], audience="uploads", issuer="us"
    )
    assert claims["sub"] == "alice"


def test_secret_of_the_data_directory_is_made_and_kept(cli: Cli) -> None:
    first = cli("token", "--user", "alice", "--data-dir", "d").stdout
    secret = (cli.home / "d/.tusd-server/secret").read_text()
    second = cli("token", "--user", "bob", TUSD_DATA_DIR="d").stdout
    for token in (first, second):
        assert jwt.decode(token.strip(), secret, algorithms=["HS256"])["sub"] in ("alice", "bob")


def test_public_key_alone_makes_no_tokens(cli: Cli) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()
    done = cli("token", "--user", "alice", TUSD_JWT_PUBLIC_KEY=pem)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "tusd-server: TUSD_JWT_PUBLIC_KEY only verifies tokens; "
        "whoever holds its private key makes them.\n"
    )


def test_secret_that_cannot_be_made(cli: Cli) -> None:
    (cli.home / "file").touch()
    done = cli("token", "--user", "alice", "--data-dir", "file/d")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("cannot be read or made: not a directory.\n")
