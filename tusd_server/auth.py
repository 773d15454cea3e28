"""Who is asking: a JWT in the Authorization header, checked before a byte of the body is read."""

import math
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from flask import Flask, request
from flask_jwt_extended import JWTManager, create_access_token, get_jwt, verify_jwt_in_request
from flask_jwt_extended.exceptions import JWTExtendedException, NoAuthorizationError
from jwt.exceptions import ExpiredSignatureError, PyJWTError

from tusd_server.errors import AccessDenied, BadSetting
from tusd_server.secret import secret_of
from tusd_server.settings import Settings


@dataclass(frozen=True, slots=True)
class User:
    """Who is asking: the token's `sub`, and whether `staff` is true in it."""

    id: str
    staff: bool = False


ANONYMOUS = User("anonymous", staff=True)
MOST_KNOWN = 4096

_NOBODY = (User(""), 0.0)


class Auth:
    """Tells the user of the request under way; one for each application."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        """Configure flask-jwt-extended for this application."""
        self.off = settings.auth == "off"
        self._known: dict[str, tuple[User, float]] = {}
        app.config["JWT_TOKEN_LOCATION"] = ["headers"]
        for direction in ("DECODE", "ENCODE"):
            app.config[f"JWT_{direction}_AUDIENCE"] = settings.jwt_audience
            app.config[f"JWT_{direction}_ISSUER"] = settings.jwt_issuer
        if settings.jwt_public_key is not None:
            key = _public_key(settings.jwt_public_key)
            app.config["JWT_ALGORITHM"] = _algorithm(key)
            app.config["JWT_PUBLIC_KEY"] = key
        else:
            app.config["JWT_ALGORITHM"] = "HS256"
            app.config["JWT_SECRET_KEY"] = secret_of(settings)
        JWTManager(app)

    def user(self) -> User:
        """The user of this request; raises AccessDenied with a sentence for the client."""
        if self.off:
            return ANONYMOUS
        header = request.headers.get("Authorization", "")
        user, expires = self._known.get(header, _NOBODY)
        if time.time() < expires:
            return user
        user, expires = self._verified()
        # A client sends the same token with every chunk, and nothing takes it back before it
        # expires. The dictionary is emptied when it is full, for its users come again.
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[header] = (user, expires)
        return user

    def _verified(self) -> tuple[User, float]:
        """The user, and when the token expires in seconds since 1970."""
        try:
            verify_jwt_in_request()
        except NoAuthorizationError:
            raise AccessDenied(
                "Authorization is missing; send `Authorization: Bearer <token>`."
            ) from None
        except ExpiredSignatureError:
            raise AccessDenied("The token has expired; get a new one.") from None
        except (PyJWTError, JWTExtendedException, ValueError):
            raise AccessDenied("The token does not hold; get a new one.") from None
        claims = get_jwt()
        name = claims.get("sub")
        if not isinstance(name, str) or not 0 < len(name) <= 255 or not name.isprintable():
            raise AccessDenied("The token's `sub` must be 1 to 255 printable characters.")
        return User(name, staff=claims.get("staff") is True), float(claims.get("exp", math.inf))


def make_token(app: Flask, user: User, hours: float) -> str:
    """A token for this user, signed with the installation's HS256 secret."""
    with app.app_context():
        token: str = create_access_token(
            user.id,
            additional_claims={"staff": True} if user.staff else {},
            expires_delta=timedelta(hours=hours),
        )
        return token


def _public_key(setting: str) -> str:
    if setting.lstrip().startswith("-----BEGIN"):
        return setting
    try:
        return Path(setting).read_text(encoding="ascii")
    except (OSError, ValueError):
        raise BadSetting(
            "TUSD_JWT_PUBLIC_KEY is neither a PEM text nor the path of a readable PEM file."
        ) from None


def _algorithm(pem: str) -> str:
    try:
        key = load_pem_public_key(pem.encode())
    except ValueError:
        key = None
    if isinstance(key, rsa.RSAPublicKey):
        return "RS256"
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return "ES256"
    raise BadSetting("TUSD_JWT_PUBLIC_KEY must be the PEM of an RSA or P-256 public key.")
