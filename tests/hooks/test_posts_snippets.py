"""What docs/posts.md gives to receivers, run as it stands there."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hooks.signing import Signer
from tests.live import ROOT

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + "A" * 32
BODY = '{"file_name": "Füße 🎉.mp4"}'

# What calls `verify` with the headers, the body and the secret of standard input.
CALLS = {
    "python": """
import json, sys
given = json.loads(sys.stdin.buffer.read())
verify(given["headers"], given["body"].encode(), given["secret"])
""",
    "javascript": """
import { readFileSync } from 'node:fs'
const given = JSON.parse(readFileSync(0, 'utf8'))
verify(given.headers, Buffer.from(given.body), given.secret)
""",
    "ruby": """
require 'json'
given = JSON.parse($stdin.read.force_encoding('UTF-8'))
verify(given['headers'], given['body'], given['secret'])
""",
}
PROGRAMS = {
    "python": (sys.executable, ".py"),
    "javascript": ("node", ".mjs"),
    "ruby": ("ruby", ".rb"),
}

Verify = Callable[[dict[str, str], str, str], bool]


@pytest.fixture(params=CALLS)
def verify(request: pytest.FixtureRequest, tmp_path: Path) -> Verify:
    """Whether the page's function in a language believes a call."""
    language = request.param
    program, suffix = PROGRAMS[language]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed.")
    page = (ROOT / "docs/posts.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    script = tmp_path / f"verify{suffix}"
    script.write_text(snippet + CALLS[language], encoding="utf-8")

    def believes(headers: dict[str, str], body: str, secret: str) -> bool:
        given = json.dumps({"headers": headers, "body": body, "secret": secret})
        run = subprocess.run([program, script], input=given.encode(), capture_output=True)
        refused = b"The signature does not hold" in run.stderr or b"too old" in run.stderr
        assert run.returncode == 0 or refused, run.stderr
        return run.returncode == 0

    return believes


def test_a_receiver_believes_a_genuine_call_and_no_other(verify: Verify) -> None:
    headers = Signer(f"{OTHER},{SECRET}").sign("m-1", BODY.encode())
    assert verify(headers, BODY, SECRET)
    assert verify(headers, BODY, OTHER)
    assert not verify(headers, BODY + " ", SECRET)
    assert not verify(headers, BODY, "whsec_" + "B" * 32)
    assert not verify({**headers, "webhook-id": "m-2"}, BODY, SECRET)
    assert not verify({**headers, "webhook-signature": "v1,"}, BODY, SECRET)
    old = Signer(SECRET, lambda: time.time() - 400).sign("m-1", BODY.encode())
    assert not verify(old, BODY, SECRET)
