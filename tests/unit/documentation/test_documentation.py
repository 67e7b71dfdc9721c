"""Documentation that cannot go stale unseen: links lead somewhere, commands and settings exist, code compiles.

tests/e2e/test_documentation.py does what the pages say; what is left out there is checked here.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from cli.main import COMMANDS, app
from core.options import OVERRIDABLE
from core.settings import Settings
from tests.documentation.pages import ROOT, Block, blocks, code_spans, links, pages
from tests.documentation.programs import check_make, check_module, check_npm, check_pip
from tests.documentation.statements import REHEARSALS, rehearsal_of, statements, words_of

LANGUAGES = {"bash", "ini", "javascript", "json", "mermaid", "promql", "python", "text"}
NAMED: Mapping[str, Callable[[Sequence[str]], None]] = {
    "limpid": lambda words: check_synopsis(words),
    "make": check_make,
    "npm run": check_npm,
    "pip install": check_pip,
    "python -m": check_module,
}
"""How what is only named in the text is checked, by its beginning."""
NOT_HERE = {"docker", "kubectl", "make", "npm", "pip"}  # never a part of what is run

OTHER_VARIABLES = {
    "LIMPID_URL",  # of the client commands
    "LIMPID_API_KEY",
    "LIMPID_PORT",  # of the compose file
    "LIMPID_S3_PORT",
    "LIMPID_PIP_ARGS",
    "LIMPID_INGEST_DIR",
    "LIMPID_INGEST_USER",
}
OTHER_PREFIXES = ("LIMPID_TEST_", "LIMPID_WATCH_")


@pytest.mark.parametrize("page", pages(), ids=str)
def test_links_lead_to_files_that_exist(page: Path) -> None:
    folder = (ROOT / page).parent

    missing = [target for target in links(page) if not (folder / target.partition("#")[0]).exists()]

    assert not missing


@pytest.mark.parametrize("page", [page for page in pages() if "ATTRIBUTION" not in page.name], ids=str)
def test_every_block_of_code_says_what_it_is(page: Path) -> None:
    assert not [str(block) for block in blocks(page) if block.language not in LANGUAGES]


@pytest.mark.parametrize("block", [block for page in pages() for block in blocks(page)], ids=str)
def test_what_is_not_run_is_checked(block: Block) -> None:
    if block.language == "bash" and not block.title:
        for statement in statements(block):
            if found := rehearsal_of(statement):
                rehearsal, words = found
                rehearsal.check(words)
            else:
                assert not NOT_HERE & set(words_of(statement)), statement
    elif block.language == "python":
        compile(block.text, str(block), "exec")
    elif block.language == "json":
        json.loads(block.text)
    elif block.language == "ini":
        assert all(re.fullmatch(r"[A-Z_]+=\S*", line) for line in block.text.split("\n") if line)


def test_commands_of_models_cards_are_rehearsed_or_run_with_the_guide() -> None:
    commands = {
        page: [each for block in blocks(page) if block.language == "bash" for each in statements(block)]
        for page in pages()
    }

    for page, found in commands.items():
        if page.parts[0] == "core":
            run = {statement for statement in found if rehearsal_of(statement) is None}
            assert run <= set(commands[Path("docs/training.md")]), page


def test_every_rehearsal_is_still_needed() -> None:
    used = {
        id(found[0])
        for page in pages()
        for block in blocks(page)
        if block.language == "bash"
        for statement in statements(block)
        if (found := rehearsal_of(statement))
    }

    assert [beginning for beginning, rehearsal in REHEARSALS.items() if id(rehearsal) not in used] == []


@pytest.mark.parametrize("page", pages(), ids=str)
def test_commands_that_the_text_names_exist_with_their_options(page: Path) -> None:
    synopses = (line for block in blocks(page) if block.language == "text" for line in block.text.splitlines())
    for line in (*code_spans(page), *synopses):
        for beginning, check in NAMED.items():
            if line.startswith(f"{beginning} "):
                check(shlex.split(line.removeprefix(beginning)))


def check_synopsis(line: Sequence[str]) -> None:
    """`limpid LINE` names a command and options that there are; [optional], a|b and NAME are for the reader to fill."""
    name, *words = line
    if not re.fullmatch(r"[a-z]+", name):
        return
    assert name in COMMANDS, line
    program: Any = get_command(app)
    command = program.get_command(None, name)
    if hasattr(command, "commands") and words and words[0] in command.commands:
        command = command.commands[words[0]]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    used = {word.strip("[]").partition("=")[0] for word in words if word.strip("[").startswith("-")}
    assert used <= known, line


@pytest.mark.parametrize("page", pages(), ids=str)
def test_environment_variables_are_settings(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = {name for name in re.findall(r"LIMPID_[A-Z0-9_]+", text) if not name.endswith("_")}
    known = {f"LIMPID_{field.upper()}" for field in Settings.model_fields} | OTHER_VARIABLES

    unknown = {name for name in named - known if name.removesuffix("_FILE") not in known}

    assert not {name for name in unknown if not name.startswith(OTHER_PREFIXES)}


def test_every_page_of_the_guide_can_be_found_in_the_navigation() -> None:
    text = re.sub(r"!!python/name:\S+", "", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    named = set(re.findall(r": (\S+\.md)", yaml.safe_dump(yaml.safe_load(text)["nav"])))

    assert named == {str(page.relative_to("docs")) for page in pages() if page.parts[0] == "docs"}


def test_every_override_is_listed() -> None:
    text = (ROOT / "docs/presets-and-models.md").read_text(encoding="utf-8")
    section = text.partition("\n## Overrides\n")[2].partition("\n## ")[0]

    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == OVERRIDABLE


def test_every_setting_that_operators_need_is_explained() -> None:
    told = "\n".join((ROOT / page).read_text(encoding="utf-8") for page in pages())

    untold = {
        name for name in Settings.model_fields if f"LIMPID_{name.upper()}" not in told and name.upper() not in told
    }

    assert untold <= {"progress_interval_s", "resend_after_s", "sweep_interval_s", "model_cache_size", "s3_region"}
