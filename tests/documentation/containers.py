"""Checks of container commands without an engine: options, profiles, services and files that are there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from tests.documentation.pages import ROOT
from tests.documentation.programs import check_limpid

COMPOSE_FILE = ROOT / "docker-compose.yml"


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a command: those that stand alone, and those that take a value."""

    alone: frozenset[str] = frozenset()
    valued: frozenset[str] = frozenset()


GLOBAL = Options(valued=frozenset({"--profile", "--file", "--project-name"}))
COMPOSE: Mapping[str, Options] = {
    "build": Options(alone=frozenset({"--pull", "--no-cache"}), valued=frozenset({"--build-arg"})),
    "up": Options(alone=frozenset({"-d", "--detach", "--build", "--no-build", "--no-deps", "--wait"})),
    "down": Options(alone=frozenset({"-v", "--volumes"})),
    "run": Options(alone=frozenset({"--rm", "--no-deps", "-T"})),
    "exec": Options(alone=frozenset({"-T"})),
    "logs": Options(alone=frozenset({"-f", "--follow", "--no-log-prefix"}), valued=frozenset({"--tail", "--since"})),
    "ps": Options(alone=frozenset({"-a", "--all"})),
    "kill": Options(),
    "stop": Options(),
    "start": Options(),
    "restart": Options(),
}
"""What the documentation uses of `docker compose`, as its reference has it."""
BUILD = Options(valued=frozenset({"-f", "-t", "--build-arg"}))
_PIPE = {"|", ">", "2>", "&"}


def check_compose(words: Sequence[str]) -> None:
    """`docker compose WORDS` uses options of Compose, and profiles and services of our file."""
    compose = yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8"))
    services: Mapping[str, Any] = compose["services"]
    chosen, (command, *rest) = _take_options(_before_pipe(words), GLOBAL)
    profiles = {profile for service in services.values() for profile in service.get("profiles", [])}
    assert set(chosen.get("--profile", [])) <= profiles, f"no such profile: {chosen}"
    _, names = _take_options(rest, COMPOSE[command])
    if command in ("run", "exec"):
        service, *arguments = names
        _check_inside(command, services[service], arguments)
        names = [service]
    assert set(names) <= set(services), f"no such service: {names}"


def check_image_build(words: Sequence[str]) -> None:
    """`docker build WORDS` names a Dockerfile of ours, the folder it is for, and arguments that it takes."""
    chosen, places = _take_options(words, BUILD)
    (dockerfile,) = chosen["-f"]
    assert places == ["."]
    known = set(re.findall(r"^ARG (\w+)", (ROOT / dockerfile).read_text(encoding="utf-8"), re.MULTILINE))
    assert {argument.partition("=")[0] for argument in chosen.get("--build-arg", [])} <= known


def _check_inside(command: str, service: Mapping[str, Any], arguments: Sequence[str]) -> None:
    """What is run in a container of ours is `limpid`: the entry point of `run`, spelled out with `exec`."""
    is_ours = str(service["image"]).startswith("limpid-")
    if is_ours and command == "run" and arguments:
        check_limpid(arguments)
    elif is_ours and command == "exec":
        assert arguments[0] == "limpid"
        check_limpid(arguments[1:])


def _before_pipe(words: Sequence[str]) -> list[str]:
    end = next((place for place, word in enumerate(words) if word in _PIPE), len(words))
    return [*words[:end]]


def _take_options(words: Sequence[str], known: Options) -> tuple[dict[str, list[str]], list[str]]:
    """The options at the front with their values, and the words from the first that is none."""
    given: dict[str, list[str]] = {}
    rest = [*words]
    while rest and rest[0].startswith("-"):
        name, has_value, value = rest.pop(0).partition("=")
        assert name in known.alone | known.valued, f"no such option: {name}"
        if name in known.valued:
            given.setdefault(name, []).append(value if has_value else rest.pop(0))
    return given, rest
