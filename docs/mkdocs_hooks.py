"""What a page needs as a part of the site, and not on a code host; hooks of mkdocs."""

import re
from typing import Any

_NO_PART = re.compile(r"[^\w\- ]")
_NAMED = re.compile(r"\[([\w-]+\.md)\]\((?=[\w-]+\.md[)#])")


def on_config(config: Any) -> Any:
    """Give headings the fragments that code hosts give them, so that links work in both places."""
    config["mdx_configs"].setdefault("toc", {})["slugify"] = slug
    return config


def slug(text: str, separator: str) -> str:
    """The fragment of a heading."""
    return _NO_PART.sub("", text.lower()).replace(" ", separator)


def on_page_markdown(markdown: str, files: Any, **_: Any) -> str:
    """Call other pages by their titles, where they are called by their files."""

    def titled(found: re.Match[str]) -> str:
        target = files.get_file_from_path(found[1])
        return f"[{_title(target.content_string)}](" if target else found[0]

    return _NAMED.sub(titled, markdown)


def _title(text: str) -> str:
    return text.partition("\n")[0].removeprefix("# ").strip()
