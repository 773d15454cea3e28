"""A worker whose pipeline never ends; a test kills its process in the middle of a job.

`python -m tests.slow_worker <database url> <data dir>`: writes `started` there, then hangs.
"""

import sys
import time
from pathlib import Path

from processing.catalog import Catalog
from processing.declared import Declared
from processing.examined import Examined
from tests.records import worker_for


def main(url: str, data_dir: Path) -> None:
    def hang(source: Path, declared: Declared, into: Path) -> Examined:
        (into / "thumbnail").write_bytes(b"half a pict")
        (data_dir / "started").touch()
        time.sleep(600)
        raise AssertionError("The test should have killed this process by now.")

    worker_for(Catalog(url), data_dir, hang, lease_seconds=1.0).run()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
