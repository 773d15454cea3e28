"""tuspyserver under uvicorn with uvloop and httptools: tuspyserver_app.py PORT DIRECTORY."""

import sys
from importlib import import_module
from typing import Any


def main(port: int, directory: str) -> None:
    # Found in bench/.peers only, so a type checker of this repository cannot see them.
    fastapi: Any = import_module("fastapi")
    tuspyserver: Any = import_module("tuspyserver")
    uvicorn: Any = import_module("uvicorn")
    app = fastapi.FastAPI()
    app.include_router(tuspyserver.create_tus_router(prefix="files", files_dir=directory))
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
