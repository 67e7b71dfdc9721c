"""The pages that people read: their links, code blocks and commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"(?<!\!)\[[^\]\n]+\]\(([^)\s]+)\)")
_IMAGE = re.compile(r"!\[[^\]\n]*\]\(([^)\s]+)\)")
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of code. One with a `title` is a file of that name, which the reader saves."""

    page: Path
    line: int
    language: str  # "" where the page does not say, as of any block that is only indented
    title: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every page that people read: at the root, below docs/, and the models' cards."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "core").rglob("*.md")]
    return sorted(path.relative_to(ROOT) for path in found)


def links(page: Path) -> list[str]:
    """Targets of links and images on the page that lead to files."""
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [*_LINK.findall(text), *_IMAGE.findall(text)]
    return [target for target in targets if not re.match(r"(?:[a-z]+:|#)", target)]


def blocks(page: Path) -> list[Block]:
    """The code blocks of the page, in order, fenced and indented ones."""
    return [
        Block(
            page=page,
            line=token.map[0] + 1 if token.map else 0,
            language=token.info.partition(" ")[0],
            title=title[1] if (title := _TITLE.search(token.info)) else None,
            text=token.content,
        )
        for token in _tokens(page)
        if token.type in ("fence", "code_block")
    ]


def code_spans(page: Path) -> Iterator[str]:
    """What stands between backticks in the page's text."""
    for token in _tokens(page):
        for child in token.children or []:
            if child.type == "code_inline":
                yield child.content


@cache
def _tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse((ROOT / page).read_text(encoding="utf-8"))
