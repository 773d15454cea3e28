"""The data directory of commands that look at what is there."""

from tusd_server.errors import BadSetting
from tusd_server.settings import Settings


def require_data_dir(settings: Settings) -> None:
    """Raise BadSetting unless the data directory exists."""
    if not settings.data_dir.is_dir():
        raise BadSetting(
            f"There is no data directory {settings.data_dir.absolute()}; "
            "give the server's own with --data-dir or TUSD_DATA_DIR."
        )
