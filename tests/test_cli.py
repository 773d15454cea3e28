import argparse
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.live import ROOT
from tusd_server import __version__, cli

COMMANDS = ("serve", "worker", "token", "upload", "ls", "doctor")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command in this process."""
    with pytest.raises(SystemExit) as exited:
        cli.main(arguments)
    said = capsys.readouterr()
    assert isinstance(exited.value.code, int)
    return exited.value.code, said.out, said.err


def actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            yield from action._choices_actions
            for command in action.choices.values():
                yield from actions(command)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"tusd-server {__version__}\n", "")


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--help")
    assert status == 0
    for command in COMMANDS:
        assert f"    {command} " in out


def test_help_speaks_with_one_voice() -> None:
    texts = [each.help for each in actions(cli._parser()) if each.help is not None]
    assert len(texts) > 30
    for text in texts:
        assert text[0].islower() or text[0] in "(~", text
        assert not text.endswith("."), text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "tusd-server: the following arguments are required: command; "),
        (["launch"], "tusd-server: argument command: invalid choice: 'launch' "),
        (["token"], "tusd-server token: the following arguments are required: --user; "),
        (["serve", "--port", "99999"], "tusd-server serve: argument --port: '99999' is not a "),
        (["upload", "--url", "ftp://x", "f"], "tusd-server upload: argument --url: 'ftp://x' is "),
        (["ls", "--unfinished", "--status", "ready"], "tusd-server ls: argument --status: not "),
    ],
)
def test_bad_arguments_are_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(said)
    assert err.endswith("--help`.\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["serve", "worker", "ls"])
def test_a_misspelt_setting_is_one_sentence_and_status_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("TUSD_MAXSIZE", "5")
    sentence = "TUSD_MAXSIZE is not a setting; docs/configuration.md lists them all."
    assert run(capsys, command) == (2, "", f"tusd-server: {sentence}\n")


def test_the_client_reads_its_own_variables_and_no_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUSD_MAXSIZE", "5")
    monkeypatch.setenv("TUSD_URL", "gopher://x")
    _, _, err = run(capsys, "upload", "photo.jpg")
    assert err.startswith("tusd-server upload: argument --url: 'gopher://x' is not a server")
    monkeypatch.delenv("TUSD_URL")
    monkeypatch.setenv("TUSD_TOKEN", "two words")
    _, _, err = run(capsys, "upload", "photo.jpg")
    assert err.startswith("tusd-server upload: argument --token: ")
    assert "two words" not in err


def test_it_is_a_module_too() -> None:
    command = [sys.executable, "-m", "tusd_server", "--version"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"tusd-server {__version__}\n"
