"""`tusd-server token`: a token to send as `Authorization: Bearer`."""

from flask import Flask

from tusd_server.auth import Auth, User, make_token
from tusd_server.errors import BadSetting
from tusd_server.settings import Settings


def token(settings: Settings, user: User, hours: float) -> int:
    """Print a token of this user, and nothing else; the exit status.

    Raises BadSetting where this installation only verifies tokens, or its secret cannot be read.
    """
    if settings.jwt_public_key is not None:
        raise BadSetting(
            "TUSD_JWT_PUBLIC_KEY only verifies tokens; whoever holds its private key makes them."
        )
    app = Flask(__name__)
    try:
        Auth(app, settings)
    except OSError as error:
        raise BadSetting(
            f"The secret in {settings.state_dir} cannot be read or made: "
            f"{(error.strerror or str(error)).lower()}."
        ) from None
    print(make_token(app, user, hours))
    return 0
