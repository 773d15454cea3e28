"""python -m bench: measure ours and its peers by the same loads in one run."""

import argparse
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import instructions, machine, pipeline, report, servers
from bench.body import GIB
from bench.install import PeerMissing
from bench.loads import LOADS, floor
from bench.target import Outcome, Sizes
from bench.wire import LoadFailed

_SHARED_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 3 * GIB
_BUSY_SHARE = 0.9


def main(arguments: Sequence[str]) -> int:
    """Run and print; 1 when a load of ours failed, 2 when nothing could be measured.

    With the first argument `pipeline` or `instructions` that is measured instead.
    """
    others = {"pipeline": pipeline.main, "instructions": instructions.main}
    if arguments and arguments[0] in others:
        return others[arguments[0]](arguments[1:])
    options = _options(arguments)
    _raise_open_files()
    sizes = Sizes(slow_uploads=options.slow_uploads)
    if options.quick:
        sizes = sizes.divided(8)
    results = report.Results([], options.repeat)
    chosen = _servers(options, results)
    if not chosen:
        print(*results.notes, sep="\n", file=sys.stderr)
        return 2
    results.servers = [server.name for server in chosen]
    with tempfile.TemporaryDirectory(prefix="tusd-bench-", dir=options.tmp) as directory:
        _Run(chosen, sizes, Path(directory), results).all_loads(options.only, options.repeat)
    facts = _facts(options, arguments, chosen)
    _print(options, results, sizes, facts)
    return 1 if servers.OURS in results.failed else 0


class _Run:
    def __init__(
        self,
        chosen: Sequence[servers.Server],
        sizes: Sizes,
        directory: Path,
        results: report.Results,
    ) -> None:
        self._servers = chosen
        self._sizes = sizes
        self._directory = directory
        self._results = results

    def all_loads(self, loads: Sequence[str], repeat: int) -> None:
        """Take turns and begin each turn with another one, so that no place is the better one."""
        runners: list[servers.Server | None] = [None, *self._servers]
        for load in loads:
            for turn in range(repeat):
                first = turn % len(runners)
                for server in runners[first:] + runners[:first]:
                    name = server.name if server else report.FLOOR
                    _say(f"{load} {turn + 1}/{repeat}: {name}")
                    self._one_turn(load, server)

    def _one_turn(self, load: str, server: servers.Server | None) -> None:
        if server:
            self._one_load(load, server)
        else:
            self._results.add(report.FLOOR, floor(load, self._directory, self._sizes))

    def _one_load(self, load: str, server: servers.Server) -> None:
        with tempfile.TemporaryDirectory(dir=self._directory) as directory:
            try:
                with server.running(Path(directory)) as target:
                    self._results.memory_kinds.add(target.memory_kind)
                    outcome = LOADS[load](target, self._sizes)
            except LoadFailed as failure:
                outcome = Outcome({}, (str(failure),))
        self._record(load, server.name, outcome)

    def _record(self, load: str, name: str, outcome: Outcome) -> None:
        self._results.add(name, outcome.figures)
        for sentence in outcome.failures:
            self._results.failed.add(name)
            self._results.note(f"{name}, {load}: {sentence}")
            _say(f"  {sentence}")
        if outcome.driver_share > _BUSY_SHARE:
            busy = f"the driver was busy {outcome.driver_share:.0%} of the time"
            self._results.note(f"{name}, {load}: {busy}; latencies are partly its own.")


def _servers(options: argparse.Namespace, results: report.Results) -> list[servers.Server]:
    makers: dict[str, Callable[[], servers.Server]] = {
        servers.OURS: lambda: servers.ours(options.workers, options.durability),
        "@tus/server": servers.tus_node,
        "tuspyserver": servers.tuspyserver,
    }
    chosen: list[servers.Server] = []
    for name, make in makers.items():
        if name in options.without:
            continue
        try:
            chosen.append(make())
        except PeerMissing as missing:
            results.note(str(missing))
    return [*chosen, *options.peer]


def _facts(
    options: argparse.Namespace,
    arguments: Sequence[str],
    chosen: Sequence[servers.Server],
) -> list[str]:
    return [
        "CPU is user and system time of the server's whole process tree; memory is the tree's "
        "growth from before the slow uploads to its highest value while all are under way, "
        "and so long new POSTs are timed, each on a connection of its own.",
        f"Figures are medians of {options.repeat} with [least to most]; servers and the floor "
        "take turns within each load, each turn begins with another; "
        f"ours runs with TUSD_DURABILITY={options.durability} and TUSD_MAX_SIZE of 1 GiB.",
        *(f"{server.name}: {server.version}." for server in chosen),
        *machine.facts(arguments, options.tmp),
    ]


def _print(
    options: argparse.Namespace, results: report.Results, sizes: Sizes, facts: Sequence[str]
) -> None:
    rows = report.metrics(sizes, " or ".join(sorted(results.memory_kinds)))
    report.doubt_what_is_below_the_floor(results, rows)
    form = report.as_markdown if options.markdown else report.as_text
    print(form(results, rows, facts))
    if options.json:
        options.json.write_text(report.as_json(results, rows, facts) + "\n")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    add = parser.add_argument
    add("--only", type=_loads, default=list(LOADS), help=f"some of {','.join(LOADS)}")
    add("--quick", action="store_true", help="loads of an eighth of their size")
    add("--repeat", type=_count, default=3, help="measure N times and show medians (3)")
    add("--peer", type=_peer, action="append", default=[], metavar="NAME=URL,PID[,PID...]")
    add("--without", action="append", default=[], metavar="NAME", help="leave a server out")
    add("--workers", type=_count, default=1, help="web processes of ours (1)")
    add("--durability", choices=("none", "finish", "chunk"), default="none", help="of ours")
    add("--slow-uploads", type=_count, default=Sizes.slow_uploads, metavar="N")
    add("--tmp", type=_directory, default=_roomy_directory(), help="where the servers' data goes")
    add("--markdown", action="store_true", help="print for docs/performance.md")
    add("--json", type=Path, metavar="FILE", help="write every single figure too")
    return parser.parse_args(arguments)


def _loads(text: str) -> list[str]:
    names = text.split(",")
    unknown = sorted(set(names) - set(LOADS))
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(LOADS)}.")
    return names


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} should be a whole number from 1.")
    return int(text)


def _peer(text: str) -> servers.Attached:
    try:
        return servers.Attached.from_text(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _directory(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text} should be a directory that exists.")
    return Path(text)


def _roomy_directory() -> Path:
    if _SHARED_MEMORY.is_dir() and shutil.disk_usage(_SHARED_MEMORY).free > _ROOM_BYTES:
        return _SHARED_MEMORY
    return Path(tempfile.gettempdir())


def _raise_open_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
