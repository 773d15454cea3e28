"""The command line: each command a few lines, its work in `commands`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tusd_server import __version__
from tusd_server.errors import BadSetting, TusdError
from tusd_server.settings import Settings


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status; a bad setting is one sentence and status 2."""
    options = _parser().parse_args(arguments)
    try:
        sys.exit(options.run(options))
    except BadSetting as error:
        print(f"tusd-server: {error}", file=sys.stderr)
        sys.exit(2)
    except TusdError as error:
        print(f"tusd-server: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _settings(options: argparse.Namespace) -> Settings:
    overrides = ("host", "port", "data_dir", "workers", "auth")
    return Settings.from_env(
        os.environ, **{name: getattr(options, name, None) for name in overrides}
    )


def _serve(options: argparse.Namespace) -> int:
    from tusd_server.commands.serve import serve

    return serve(_settings(options), with_worker=not options.no_worker)


def _worker(options: argparse.Namespace) -> int:
    from tusd_server.commands.worker import work

    return work(_settings(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tusd-server",
        description="Resumable media uploads. Settings come from TUSD_* variables.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    serve = commands.add_parser("serve", help="run web and worker processes")
    serve.set_defaults(run=_serve)
    serve.add_argument("--host", help="address to listen on (127.0.0.1)")
    serve.add_argument("--port", type=int, help="port to listen on (1080); 0 takes a free one")
    serve.add_argument("--workers", type=int, help="web processes (one a core, at most 4)")
    serve.add_argument("--auth", choices=("jwt", "off"), help="who may upload (jwt)")
    serve.add_argument("--no-worker", action="store_true", help="run the web processes alone")
    _data_dir(serve)

    worker = commands.add_parser("worker", help="run one worker process alone")
    worker.set_defaults(run=_worker)
    _data_dir(worker)
    return parser


def _data_dir(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data-dir", type=Path, help="directory of everything (./data)")
