"""The shell's statements in the documentation, and who answers for each: a test that runs it, or a rehearsal.

Everything is run (tests/e2e/test_documentation.py) unless REHEARSALS has an entry for how the statement begins. An
entry says why the statement cannot be run where the tests run, and checks as much of it as can be checked there.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from tests.documentation.containers import check_compose, check_image_build
from tests.documentation.kubernetes import check_kubectl
from tests.documentation.pages import Block
from tests.documentation.programs import check_limpid, check_make, check_module

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")

NO_ENGINE = "needs a container engine; tests/e2e/compose drives one where there is one"
NO_CLUSTER = "needs a cluster"
NO_WEIGHTS = "needs weights that others publish, which tests never fetch"
TOO_LONG = "takes minutes; has tests of its own"
INSTALLS = "changes the environment that the tests run in, or runs all tests"


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """Why statements that begin so are not run, and what is checked instead, given their words after the beginning."""

    why: str
    check: Callable[[Sequence[str]], None]


def _limpid(*command: str) -> Callable[[Sequence[str]], None]:
    return lambda words: check_limpid([*command, *words])


REHEARSALS: dict[tuple[str, ...], Rehearsal] = {
    ("docker", "compose"): Rehearsal(why=NO_ENGINE, check=check_compose),
    ("docker", "build"): Rehearsal(why=NO_ENGINE, check=check_image_build),
    ("kubectl",): Rehearsal(why=NO_CLUSTER, check=check_kubectl),
    ("make",): Rehearsal(why=INSTALLS, check=check_make),
    ("limpid", "models", "pull"): Rehearsal(why=NO_WEIGHTS, check=_limpid("models", "pull")),
    ("limpid", "models", "convert"): Rehearsal(why=NO_WEIGHTS, check=_limpid("models", "convert")),
    ("limpid", "enhance", "--preset", "gramophone"): Rehearsal(
        why=NO_WEIGHTS, check=_limpid("enhance", "--preset", "gramophone")
    ),
    **{
        ("limpid", "train", recipe): Rehearsal(why=why, check=_limpid("train", recipe))
        for why, recipes in {
            TOO_LONG: ("default", "two-stage-unet", "limpid-studio-stage1", "limpid-studio-stage2"),
            NO_WEIGHTS: ("htdemucs-finetune", "finally-stage1", "finally-stage2", "finally-stage3"),
        }.items()
        for recipe in recipes
    },
    ("limpid", "synth", "finetune"): Rehearsal(why=TOO_LONG, check=_limpid("synth", "finetune")),
    ("limpid", "evaluate", "htdemucs"): Rehearsal(why=NO_WEIGHTS, check=_limpid("evaluate", "htdemucs")),
    ("python", "-m", "benchmarks"): Rehearsal(why=TOO_LONG, check=check_module),
    ("python", "-m", "tests.chaos"): Rehearsal(why=TOO_LONG, check=check_module),
}


@cache
def statements(block: Block) -> list[str]:
    """The statements of a block of shell, each with its further lines and its comments."""
    found = []
    pending = ""
    for line in block.text.splitlines():
        pending += line + "\n"
        if not line.rstrip().endswith("\\") and _is_complete(pending):
            if pending.strip() and not pending.lstrip().startswith("#"):
                found.append(pending.rstrip("\n"))
            pending = ""
    if pending.strip():
        raise ValueError(f"{block}: this is no complete statement: {pending}")
    return found


def words_of(statement: str) -> list[str]:
    """The statement's words without comments and leading assignments; `python` for every Python, `limpid` for ours."""
    words = shlex.split(statement.replace("\\\n", " "), comments=True)
    while words and _ASSIGNMENT.match(words[0]):
        words.pop(0)
    if words:
        words[0] = words[0].removeprefix(".venv/bin/")
    return words


def rehearsal_of(statement: str) -> tuple[Rehearsal, list[str]] | None:
    """The rehearsal that answers for the statement with the words it checks; None when the statement is run."""
    words = words_of(statement)
    for beginning, rehearsal in REHEARSALS.items():
        start = words[: len(beginning)]
        if beginning[:2] == ("python", "-m") and len(start) == len(beginning):
            if start[:2] == ["python", "-m"] and f"{start[2]}.".startswith(f"{beginning[2]}."):
                return rehearsal, words[2:]
        elif tuple(start) == beginning:
            return rehearsal, words[len(beginning) :]
    return None


def _is_complete(text: str) -> bool:
    """False while quotes, here-documents or loops are open."""
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    return done.returncode == 0 and not done.stderr
