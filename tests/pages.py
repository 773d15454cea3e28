"""The pages of docs/, and the pieces of code in them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def snippets(page: str, language: str) -> list[str]:
    """The blocks of code of a page (or of README.md) in this language, in their order."""
    text = ((ROOT if page == "README.md" else DOCS) / page).read_text(encoding="utf-8")
    return [code for found, code in _BLOCK.findall(text) if found == language]


def snippet(page: str, language: str, holding: str) -> str:
    """The one block of code of a page in this language that holds this text."""
    (found,) = [code for code in snippets(page, language) if holding in code]
    return found
