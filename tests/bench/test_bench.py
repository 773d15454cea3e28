import json
import os
import re
from pathlib import Path

import pytest

from bench import instructions, pipeline, procfs, report
from bench.__main__ import main
from bench.body import BLOCK, MIB, blocks
from bench.counted import KINDS, Caller
from bench.floor import floor_cpu_seconds
from bench.meter import percentile
from bench.servers import Attached
from bench.target import Sizes
from bench.wire import Endpoint, LoadFailed, Reply, creation, parse_reply, patch_head

TICKS = os.sysconf("SC_CLK_TCK")
ENDPOINT = Endpoint("127.0.0.1", 1080, "/files/")


def fake_process(proc: Path, pid: int, parent: int, times: tuple[int, int, int, int]) -> None:
    directory = proc / str(pid)
    directory.mkdir(parents=True)
    filler = "0 " * 9
    user, system, reaped_user, reaped_system = times
    (directory / "stat").write_text(
        f"{pid} (odd) name (x) S {parent} {filler}{user} {system} {reaped_user} {reaped_system} 20"
    )
    (directory / "smaps_rollup").write_text(f"00-ff ---p 0 [rollup]\nRss: 900 kB\nPss: {pid} kB\n")
    (directory / "statm").write_text("1000 3 1 1 0 1 0")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    fake_process(tmp_path, 10, 1, (1, 2, 3, 4))
    fake_process(tmp_path, 11, 10, (10, 20, 0, 0))
    fake_process(tmp_path, 12, 11, (100, 200, 0, 0))
    fake_process(tmp_path, 99, 1, (5000, 5000, 0, 0))
    (tmp_path / "meminfo").write_text("not a process")
    return tmp_path


def test_the_tree_holds_all_descendants_and_nobody_else(proc: Path) -> None:
    assert procfs.tree([10], proc) == {10, 11, 12}


def test_a_root_that_is_gone_is_not_in_the_tree(proc: Path) -> None:
    assert procfs.tree([11, 77], proc) == {11, 12}


def test_cpu_counts_living_processes_and_reaped_children(proc: Path) -> None:
    assert procfs.cpu_seconds([10], proc) == 340 / TICKS


def test_memory_is_the_sum_of_the_tree(proc: Path) -> None:
    assert procfs.memory_kind([10], proc) == "PSS"
    assert procfs.memory_bytes([10], "PSS", proc) == (10 + 11 + 12) * 1024
    assert procfs.memory_bytes([10], "RSS", proc) == 9 * os.sysconf("SC_PAGE_SIZE")


def test_memory_is_rss_where_the_kernel_has_no_rollup(proc: Path) -> None:
    (proc / "12" / "smaps_rollup").unlink()
    assert procfs.memory_kind([10], proc) == "RSS"


def test_our_own_process_spends_time_and_holds_memory() -> None:
    assert procfs.cpu_seconds([os.getpid()]) > 0
    assert procfs.memory_bytes([os.getpid()], "RSS") > MIB


def test_the_body_begins_like_an_mp4_and_repeats_its_block() -> None:
    body = b"".join(blocks(MIB + 5))
    assert body[4:12] == b"ftypisom"
    assert body == BLOCK + BLOCK[:5]


def test_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([5.0, 1.0, 3.0], 99) == 5.0
    assert percentile([float(n) for n in range(1, 101)], 99) == 99.0
    assert percentile([4.0], 1) == 4.0


def test_the_floor_writes_everything_and_leaves_nothing(tmp_path: Path) -> None:
    assert floor_cpu_seconds(tmp_path, [MIB, 3 * MIB + 1]) >= 0
    assert list(tmp_path.iterdir()) == []


def test_requests_say_what_tus_asks_for() -> None:
    post = creation(ENDPOINT, 4, b"abcd")
    assert post.startswith(b"POST /files/ HTTP/1.1\r\nHost: 127.0.0.1:1080\r\n")
    assert b"\r\nContent-Length: 4\r\n" in post
    assert post.endswith(b"\r\n\r\nabcd")
    assert b"\r\nUpload-Offset: 5\r\n" in patch_head(ENDPOINT, "/files/a", 5, 7)


@pytest.mark.parametrize(
    "received",
    [
        b"HTTP/1.1 201 Created\r\nLocation: /x\r\n",
        b"HTTP/1.1 201 Created\r\nLocation: /x\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_a_reply_that_is_still_coming_is_none(received: bytes) -> None:
    assert parse_reply(received, bodiless=False) is None


def test_a_complete_reply_is_read_past_interim_ones() -> None:
    received = (
        b"HTTP/1.1 104 Upload Resumption\r\nLocation: /no\r\n\r\n"
        b"HTTP/1.1 201 Created\r\nLocation: http://127.0.0.1:1080/files/x?a=b\r\n"
        b"Connection: close\r\nContent-Length: 2\r\n\r\nok"
    )
    reply = parse_reply(received, bodiless=False)
    assert reply is not None
    assert (reply.status, reply.upload_path, reply.closes) == (201, "/files/x?a=b", True)


def test_the_answer_to_head_has_no_body() -> None:
    reply = parse_reply(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", bodiless=True)
    assert reply is not None
    assert reply.status == 200


@pytest.mark.parametrize(("status", "offset"), [(400, "4"), (204, "3"), (204, None)])
def test_a_wrong_answer_fails_the_load(status: int, offset: str | None) -> None:
    reply = Reply(status, {} if offset is None else {"upload-offset": offset})
    with pytest.raises(LoadFailed, match="A PATCH was answered"):
        reply.expect("A PATCH", 204, 4)


def test_a_peer_is_read_from_its_text() -> None:
    peer = Attached.from_text("tusd=http://127.0.0.1:8080/files/,12,13")
    assert peer == Attached("tusd", Endpoint("127.0.0.1", 8080, "/files/"), (12, 13))


@pytest.mark.parametrize(
    "text", ["tusd", "=http://a/,1", "tusd=http://a/", "tusd=http://a/,x", "tusd=https://a/,1"]
)
def test_a_peer_that_cannot_be_read_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="should look like"):
        Attached.from_text(text)


@pytest.fixture
def results() -> report.Results:
    results = report.Results(["ours", "peer"])
    for figure in (0.7, 0.5, 0.6):
        results.add("ours", {"bulk_cpu": figure})
    results.add("peer", {"bulk_cpu": 1.2})
    results.add(report.FLOOR, {"bulk_cpu": 0.3})
    results.add("ours", {"head_cpu": 0.25})
    results.note("peer, head: A HEAD was answered 500, not 200.")
    return results


def test_the_table_shows_medians_and_ratios(results: report.Results) -> None:
    text = report.as_text(results, report.metrics(Sizes(), "PSS"), ["Date: today."])
    bulk = next(line for line in text.splitlines() if line.startswith("512 MiB in one PATCH"))
    assert re.split(r"\s{2,}", bulk)[2:] == [
        "0.6 [0.5 to 0.7] (2.00 x floor)",
        "1.2 (2.00 x ours, 4.00 x floor)",
        "0.3",
    ]
    assert text.endswith("peer, head: A HEAD was answered 500, not 200.\nDate: today.")


def test_a_load_without_a_figure_reads_failed_and_an_unmeasured_one_is_left_out(
    results: report.Results,
) -> None:
    markdown = report.as_markdown(results, report.metrics(Sizes(), "PSS"), [])
    assert "| HEAD, 32 connections | CPU ms | 0.25 | failed |  |" in markdown
    assert "slow uploads" not in markdown


def test_a_figure_below_the_floor_is_doubted_in_a_note(results: report.Results) -> None:
    rows = report.metrics(Sizes(), "PSS")
    report.doubt_what_is_below_the_floor(results, rows)
    assert not any("below the floor" in note for note in results.notes)
    results.add("peer", {"chunks_cpu": 0.2})
    results.add(report.FLOOR, {"chunks_cpu": 0.3})
    report.doubt_what_is_below_the_floor(results, rows)
    assert results.notes[-1].startswith("peer, 256 MiB in 5 MiB PATCHes: below the floor")


def test_a_median_of_fewer_turns_says_so() -> None:
    results = report.Results(["ours"], turns=3)
    results.add("ours", {"bulk_cpu": 0.5})
    markdown = report.as_markdown(results, report.metrics(Sizes(), "PSS"), [])
    assert "| 0.5 only 1 of 3 turns |" in markdown


def test_json_keeps_every_single_figure(results: report.Results) -> None:
    content = json.loads(report.as_json(results, report.metrics(Sizes(), "PSS"), []))
    assert content["metrics"][0]["figures"]["ours"] == [0.7, 0.5, 0.6]


def test_the_pipelines_table_shows_medians_and_their_ratio() -> None:
    ours = [pipeline.Figures(n, 0.075 * n, 0.2, 1.0, 150) for n in (1, 2, 3)]
    bare = [pipeline.Figures(n, 0.05 * n, 0.1, 0.5, 75) for n in (1, 2, 3)]
    lines = pipeline.table({"ours": ours, "bare": bare}).splitlines()
    assert lines[3] == (
        "| 12 MP JPEGs | CPU s per image | 0.15 [0.075 to 0.225] | 0.1 [0.05 to 0.15] | 1.50 |"
    )
    assert len(lines) == 2 + 5


@pytest.mark.slow
def test_the_pipeline_is_measured_through_the_real_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["pipeline", "--images", "2", "--repeat", "1", "--tmp", str(tmp_path)]
    assert main(arguments) == 0
    assert "| 12 MP JPEGs | CPU s per image |" in capsys.readouterr().out


def test_every_option_of_the_pipelines_bench_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["pipeline", "--help"])
    offered = set(re.findall(r"--[a-z]+", capsys.readouterr().out)) - {"--help"}
    page = (Path(__file__).parents[2] / "docs" / "performance.md").read_text()
    told = page[page.index("## The pipeline") : page.index("## What to doubt")]
    assert offered == set(re.findall(r"^\| `(--[a-z]+)`", told, re.MULTILINE))


@pytest.mark.parametrize("auth", ["off", "jwt"])
def test_every_request_that_is_counted_succeeds(tmp_path: Path, auth: str) -> None:
    caller = Caller(auth, tmp_path / "data")
    for kind in KINDS:
        getattr(caller, kind)()
    assert set(KINDS) == set(instructions.ROWS)


def test_what_valgrind_counted_is_read(tmp_path: Path) -> None:
    """The whole takes a minute below valgrind; `python -m bench instructions` is that test."""
    (tmp_path / "17").write_text("events: Ir\nfn=(1) main\n5 7\nsummary: 4190571383\n")
    assert instructions.total(tmp_path / "17") == 4_190_571_383
    (tmp_path / "18").write_text("events: Ir\n")
    with pytest.raises(ValueError, match="no output of callgrind"):
        instructions.total(tmp_path / "18")


def test_without_valgrind_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["instructions"]) == 2
    assert capsys.readouterr().err == "valgrind is not installed; apt-get install valgrind.\n"
