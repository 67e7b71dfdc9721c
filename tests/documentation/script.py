"""A page as a script: its steps in their order, as a reader does them one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.documentation.pages import Block, blocks
from tests.documentation.statements import rehearsal_of, statements

ABRIDGED: Mapping[str, str] = {
    "limpid train": "loop.steps=1 loop.batch_size=1 validation.examples=1",
    "limpid synth": "pairs.train=0 pairs.validation=0 pairs.test=1",
}
"""What commands that would take hours are given at their end: they do all that they do, on little."""

PRELUDE = """set -euo pipefail
curl() { command curl --fail-with-body --silent --show-error "$@"; }
"""
"""An error's status is a failure, as it is for a reader who looks at the answer."""


def script_of(page: Path) -> str | None:
    """The page as a bash script that says on standard error which line it is at; None when it has nothing to do."""
    steps = [step for block in blocks(page) for step in _steps(block)]
    return PRELUDE + "\n".join(steps) + "\n" if steps else None


def _steps(block: Block) -> Iterator[str]:
    """What is done at a block: a file is written, or statements are run."""
    mark = f"echo '--- {block}' >&2\n"
    if block.title:
        yield mark + _with_input(f"cat > {block.title}", block.text)
    elif block.language == "python":
        yield mark + _with_input("python -", block.text)
    elif block.language == "bash":
        yield from (mark + _abridged(each) for each in statements(block) if rehearsal_of(each) is None)


def _with_input(command: str, text: str) -> str:
    return f"{command} <<'END-OF-BLOCK'\n{text}END-OF-BLOCK"


def _abridged(statement: str) -> str:
    for beginning, settings in ABRIDGED.items():
        if statement.startswith(f"{beginning} ") and "--list" not in statement:
            command, _, comment = statement.partition(" #")
            return f"{command.rstrip()} {settings}{' #' + comment if comment else ''}"
    return statement
