"""The command line: each command a few lines, its work in `commands`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, get_args

from processing.medium import Status
from tusd_server import __version__
from tusd_server.commands import arguments
from tusd_server.errors import BadSetting, TusdError
from tusd_server.settings import Settings

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction["_Parser"]


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status; a bad setting is one sentence and status 2."""
    options = _parser().parse_args(argv)
    try:
        status = options.run(options)
        sys.stdout.flush()
        sys.exit(status)
    except BadSetting as error:
        print(f"tusd-server: {error}", file=sys.stderr)
        sys.exit(2)
    except TusdError as error:
        print(f"tusd-server: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # `tusd-server ls | head`; the interpreter would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


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


def _token(options: argparse.Namespace) -> int:
    from tusd_server.auth import User
    from tusd_server.commands.token import token

    return token(_settings(options), User(options.user, staff=options.staff), options.hours)


def _upload(options: argparse.Namespace) -> int:
    from tusd_server.commands.upload import Wishes, upload

    return upload(
        Wishes(
            paths=options.paths,
            url=options.url,
            token=options.token,
            post_id=options.post_id,
            chunk_size=options.chunk_size,
            parallel=options.parallel,
            as_json=options.json,
            picture=not options.no_picture,
            wait=not options.no_wait,
            wait_seconds=options.wait_seconds,
            give_up_seconds=options.give_up_seconds,
            resume_file=options.resume_file,
        )
    )


def _ls(options: argparse.Namespace) -> int:
    from tusd_server.commands.ls import Choice, ls, ls_orphans
    from tusd_server.commands.usage import ls_usage

    if options.orphans:
        return ls_orphans(_settings(options))
    choice = Choice(owner=options.owner, status=options.status, unfinished_only=options.unfinished)
    if options.usage:
        return ls_usage(_settings(options), options.owner, as_json=options.json)
    return ls(_settings(options), choice, as_json=options.json)


def _jobs(options: argparse.Namespace) -> int:
    from tusd_server.commands.jobs import jobs, retry

    if options.retry is not None:
        return retry(_settings(options), options.retry, as_json=options.json)
    return jobs(_settings(options), failed_only=options.failed, as_json=options.json)


def _gc(options: argparse.Namespace) -> int:
    from tusd_server.commands.gc import gc

    return gc(_settings(options), dry_run=options.dry_run)


def _doctor(options: argparse.Namespace) -> int:
    from tusd_server.commands.doctor import doctor

    return doctor(lambda: _settings(options))


class _Parser(argparse.ArgumentParser):
    """Tells what was wrong in one sentence, without the usage in front of it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message.rstrip('.')}; see `{self.prog} --help`.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tusd-server",
        description="Resumable media uploads. Settings come from TUSD_* variables.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_serve(commands)
    _add_worker(commands)
    _add_token(commands)
    _add_upload(commands)
    _add_ls(commands)
    _add_jobs(commands)
    _add_gc(commands)
    _add_doctor(commands)
    return parser


def _add_serve(commands: "Commands") -> None:
    serve = commands.add_parser("serve", help="run web and worker processes")
    serve.set_defaults(run=_serve)
    serve.add_argument("--host", help="address to listen on (127.0.0.1)")
    serve.add_argument(
        "--port", type=arguments.port, help="port to listen on (1080); 0 takes a free one"
    )
    serve.add_argument(
        "--workers", type=arguments.count, help="web processes (one a core, at most 4)"
    )
    serve.add_argument("--auth", choices=("jwt", "off"), help="who may upload (jwt)")
    serve.add_argument("--no-worker", action="store_true", help="run the web processes alone")
    _data_dir(serve)


def _add_worker(commands: "Commands") -> None:
    worker = commands.add_parser("worker", help="run one worker process alone")
    worker.set_defaults(run=_worker)
    _data_dir(worker)


def _add_token(commands: "Commands") -> None:
    token = commands.add_parser("token", help="print a token for a user")
    token.set_defaults(run=_token)
    token.add_argument(
        "--user", type=arguments.user, required=True, help="name of the user, the claim `sub`"
    )
    token.add_argument("--staff", action="store_true", help="let the user see everybody's media")
    token.add_argument("--hours", type=arguments.hours, default=24.0, help="how long it holds (24)")
    _data_dir(token)


def _add_upload(commands: "Commands") -> None:
    upload = commands.add_parser(
        "upload",
        help="send files and folders to a server",
        description="Send photos and videos to a server, and wait until it has examined them. "
        "What was interrupted goes on where it was when the same command runs again.",
        epilog="Exit status: 0 when all files are ready, 1 when one was refused, 2 for bad "
        "arguments, 75 when one did not arrive and may another time, 130 after Ctrl-C.",
    )
    upload.set_defaults(run=_upload)
    upload.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="file to send, or folder whose photos and videos to send",
    )
    upload.add_argument(
        "--url",
        type=arguments.server_url,
        default=os.environ.get("TUSD_URL") or "http://127.0.0.1:1080",
        help="server to send to (TUSD_URL, or http://127.0.0.1:1080)",
    )
    upload.add_argument(
        "--token",
        type=arguments.token,
        default=os.environ.get("TUSD_TOKEN") or None,
        help="token of the user who sends (TUSD_TOKEN)",
    )
    upload.add_argument("--post-id", metavar="ID", help="post that the files belong to")
    upload.add_argument(
        "--chunk-size",
        type=arguments.size,
        default="8MiB",
        metavar="SIZE",
        help="most bytes of one request (8MiB)",
    )
    upload.add_argument(
        "--parallel",
        type=arguments.count,
        default=3,
        metavar="N",
        help="most files that are sent at the same time (3)",
    )
    upload.add_argument("--json", action="store_true", help="print each record as a line of JSON")
    upload.add_argument(
        "--no-picture", action="store_true", help="show no thumbnails in terminals that can"
    )
    upload.add_argument(
        "--no-wait", action="store_true", help="do not wait until files are examined"
    )
    upload.add_argument(
        "--wait-seconds",
        type=arguments.seconds,
        default=600.0,
        metavar="N",
        help="longest wait for that, for each file (600)",
    )
    upload.add_argument(
        "--give-up-seconds",
        type=arguments.seconds,
        default=120.0,
        metavar="N",
        help="longest time without progress before giving up (120)",
    )
    upload.add_argument(
        "--resume-file",
        type=Path,
        metavar="PATH",
        help="where to remember what was begun (~/.local/state/tusd-server/uploads.json)",
    )


def _add_ls(commands: "Commands") -> None:
    ls = commands.add_parser("ls", help="list unfinished uploads and media of this machine")
    ls.set_defaults(run=_ls)
    ls.add_argument("--json", action="store_true", help="print each as a line of JSON")
    which = ls.add_mutually_exclusive_group()
    which.add_argument("--unfinished", action="store_true", help="list unfinished uploads alone")
    which.add_argument("--orphans", action="store_true", help="list files that belong to no upload")
    which.add_argument("--status", choices=get_args(Status), help="list media of this status alone")
    which.add_argument("--usage", action="store_true", help="list each user's use of the disk")
    ls.add_argument("--owner", metavar="USER", help="list what belongs to this user alone")
    _data_dir(ls)


def _add_jobs(commands: "Commands") -> None:
    jobs = commands.add_parser(
        "jobs",
        help="list jobs, and give those that failed another chance",
        description="List the jobs that wait, run or were parked as failed, or give them another "
        "chance.",
        epilog="Exit status: 0 when done, 1 when there is no such job or it runs, 2 for bad "
        "arguments.",
    )
    jobs.set_defaults(run=_jobs)
    which = jobs.add_mutually_exclusive_group()
    which.add_argument("--failed", action="store_true", help="list parked jobs alone")
    which.add_argument(
        "--retry",
        metavar="ID",
        help="start a parked job afresh, and end the pause of a waiting one: a job's id, a "
        "medium's, or `all` that are parked",
    )
    jobs.add_argument("--json", action="store_true", help="print each as a line of JSON")
    _data_dir(jobs)


def _add_gc(commands: "Commands") -> None:
    gc = commands.add_parser(
        "gc",
        help="delete expired uploads and files that belong to nobody",
        description="Delete expired uploads and files that belong to nobody. A running worker does "
        "the same every minute.",
    )
    gc.set_defaults(run=_gc)
    gc.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    _data_dir(gc)


def _add_doctor(commands: "Commands") -> None:
    doctor = commands.add_parser(
        "doctor",
        help="check settings, disk, database and tools",
        description="Check settings, disk, database and tools: one line each, beginning with "
        "ok, warn (the server works with less) or fail.",
        epilog="Exit status: 1 when a check failed, 0 otherwise.",
    )
    doctor.set_defaults(run=_doctor)
    _data_dir(doctor)


def _data_dir(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data-dir", type=Path, help="directory of everything (./data)")
