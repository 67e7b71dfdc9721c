"""Documentation that cannot go stale unseen: links lead somewhere, commands and settings exist, code compiles."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from cli.main import COMMANDS, app
from core.settings import Settings
from tests.documentation import ROOT, fenced_blocks, limpid_commands, links, pages

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


@pytest.mark.parametrize("page", pages(), ids=str)
def test_commands_and_their_options_exist(page: Path) -> None:
    program: Any = get_command(app)
    for line in limpid_commands(page):
        name, *words = line.split()
        if name in ("...", "COMMAND", "--help"):
            continue
        assert name in COMMANDS, line
        command = program.get_command(None, name)
        if hasattr(command, "commands") and words and words[0] in command.commands:
            command = command.commands[words[0]]
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        used = {word.strip("[]").partition("=")[0] for word in words if word.strip("[").startswith("-")}
        assert used <= known | {"-"}, line


@pytest.mark.parametrize("page", pages(), ids=str)
def test_environment_variables_are_settings(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = {name for name in re.findall(r"LIMPID_[A-Z0-9_]+", text) if not name.endswith("_")}
    known = {f"LIMPID_{field.upper()}" for field in Settings.model_fields} | OTHER_VARIABLES

    unknown = {name for name in named - known if name.removesuffix("_FILE") not in known}

    assert not {name for name in unknown if not name.startswith(OTHER_PREFIXES)}


@pytest.mark.parametrize("page", pages(), ids=str)
def test_python_examples_compile(page: Path) -> None:
    for block in fenced_blocks(page, "python"):
        compile(block, str(page), "exec")


def test_every_page_of_the_guide_can_be_found_in_the_navigation() -> None:
    text = re.sub(r"!!python/name:\S+", "", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    named = set(re.findall(r": (\S+\.md)", yaml.safe_dump(yaml.safe_load(text)["nav"])))

    assert named == {str(page.relative_to("docs")) for page in pages() if page.parts[0] == "docs"}


def test_every_setting_that_operators_need_is_explained() -> None:
    told = "\n".join((ROOT / page).read_text(encoding="utf-8") for page in pages())

    untold = {
        name for name in Settings.model_fields if f"LIMPID_{name.upper()}" not in told and name.upper() not in told
    }

    assert untold <= {"progress_interval_s", "resend_after_s", "sweep_interval_s", "model_cache_size", "s3_region"}
