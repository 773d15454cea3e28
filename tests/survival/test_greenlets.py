"""What gevent changes under the local store: it puts off the closing of folders."""

import subprocess
import sys
from pathlib import Path

from tests.live import ROOT

CLAIMS = """
from gevent import monkey
monkey.patch_all()
import sys
from pathlib import Path
import gevent
from tusd_server.storage.filesystem import FilesystemStore

store = FilesystemStore(Path(sys.argv[1]))
claims = [gevent.spawn(store.claim_key, "alice", f"key {n % 4}", f"{n}", None) for n in range(12)]
gevent.joinall(claims, raise_error=True)
print(*(claim.value for claim in claims))
"""


def test_keys_are_claimed_by_many_at_once(tmp_path: Path) -> None:
    """A lock that outlives its block would stop the process, and with it all others."""
    command = [sys.executable, "-c", CLAIMS, str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, cwd=ROOT)
    assert done.stdout.split() == ["0", "1", "2", "3"] * 3
