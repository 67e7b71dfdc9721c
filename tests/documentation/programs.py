"""Checks of commands of this repository that are not run: the command is there, and takes what it is given."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from typer.main import get_command

from cli.main import app
from core.model_catalogue import ALIASES, MODELS
from tests.documentation.pages import ROOT
from training.tasks import load_any_recipe

_TARGETS = re.compile(r"^((?:[a-z][a-z-]* )*[a-z][a-z-]*):(?!=)", re.MULTILINE)


def check_limpid(words: Sequence[str]) -> None:
    """`limpid WORDS` would be accepted: command, options and their types, names of models and settings of recipes."""
    command: Any = get_command(app)
    name, rest = "limpid", [*words]
    while hasattr(command, "get_command"):
        assert rest, f"limpid {' '.join(words)}: a command is missing"
        name = rest.pop(0)
        command = command.get_command(None, name)
        assert command is not None, f"limpid {' '.join(words)}: there is no command {name}"
    given = command.make_context(name, rest).params
    if [*words][:2] == ["models", "pull"]:
        unknown = set(given["names"]) - {*MODELS, *ALIASES}
        assert not unknown, f"no such model: {unknown}"
    if words[0] == "train":
        load_any_recipe(given["recipe"], [*(given["overrides"] or [])])


def check_make(words: Sequence[str]) -> None:
    """`make WORDS` names targets of the Makefile."""
    targets = {
        name for found in _TARGETS.findall((ROOT / "Makefile").read_text(encoding="utf-8")) for name in found.split()
    }
    unknown = {word for word in words if "=" not in word} - targets
    assert not unknown, f"no such target: {unknown}"


def check_npm(words: Sequence[str]) -> None:
    """`npm run WORDS` names a script of web/."""
    scripts = json.loads((ROOT / "web/package.json").read_text(encoding="utf-8"))["scripts"]
    assert words[0] in scripts, f"no such script: {words[0]}"


def check_pip(words: Sequence[str]) -> None:
    """`pip install WORDS` names extras of this package, or a package that the tests have too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras: Mapping[str, Sequence[str]] = project["optional-dependencies"]
    (requirement,) = words
    name, _, wanted = requirement.rstrip("]").partition("[")
    if name == project["name"]:
        assert set(wanted.split(",")) <= set(extras)
    else:
        assert name in {each.partition(">=")[0] for each in extras["test"]}


def check_module(words: Sequence[str]) -> None:
    """`python -m WORDS` names a module, and options that stand in its source."""
    module, *rest = words
    spec = find_spec(f"{module}.__main__" if (ROOT / module.replace(".", "/")).is_dir() else module)
    assert spec is not None, f"no such module: {module}"
    assert spec.origin is not None
    known = set(re.findall(r'"(--[a-z][a-z0-9-]*)"', Path(spec.origin).read_text(encoding="utf-8")))
    options = {word.partition("=")[0] for word in rest if word.startswith("--")}
    assert options <= known, f"python -m {module}: no such option: {options - known}"
