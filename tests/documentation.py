"""What the documentation says, taken apart: links, commands, code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
_LINK = re.compile(r"(?<!\!)\[[^\]\n]+\]\(([^)\s]+)\)")
_IMAGE = re.compile(r"!\[[^\]\n]*\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"^(?:    |\$ )?(?:\.venv/bin/)?limpid ((?:.*\\\n\s+)*.*)$", re.MULTILINE)


def pages() -> list[Path]:
    """Every page that people read: at the root, below docs/, and the models' cards."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "core").rglob("*.md")]
    return sorted(path.relative_to(ROOT) for path in found)


def links(page: Path) -> list[str]:
    """Targets of links and images on the page that lead to files."""
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [*_LINK.findall(text), *_IMAGE.findall(text)]
    return [target for target in targets if not re.match(r"(?:[a-z]+:|#)", target)]


def fenced_blocks(page: Path, language: str) -> list[str]:
    """The code blocks of one language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def limpid_commands(page: Path) -> Iterator[str]:
    """The arguments of each `limpid ...` line of the page, comments left out."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for arguments in _COMMAND.findall(text):
        yield re.split(r"\s{2,}(?=#|[a-z(|])|\s#|\s[|&>]\s", arguments.replace("\\\n", " "))[0].strip()
