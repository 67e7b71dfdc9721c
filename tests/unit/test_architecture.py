"""The arrows between the packages, as docs and DESIGN draw them, checked on every import statement of every module."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("api", "cli", "core", "limpid_client", "training", "worker")
ALLOWED = {
    "api": {"api", "core"},
    "cli": set(PACKAGES) | {"migrations"},
    "core": {"core"},
    "limpid_client": {"core", "limpid_client"},
    "training": {"core", "training"},
    "worker": {"core", "worker"},
}
FORBIDDEN_TO_THE_API = ("torch", "demucs", "core.models", "core.enhancement")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


@cache
def imports_of(module: str) -> frozenset[str]:
    """The modules that `module` imports anywhere, inside functions and under TYPE_CHECKING too."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    return frozenset(name for node in ast.walk(tree) for name in _imported_by(node, module))


def _imported_by(node: ast.AST, module: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{module} imports relatively; write the import path in full"
        assert node.module is not None
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names if f"{node.module}.{alias.name}" in MODULES)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def reachable_from(package: str) -> dict[str, str]:
    """Every module that importing `package` could load, ours and others', with the module that first imports it."""
    importers: dict[str, str] = {}
    pending = [name for name in MODULES if is_within(name, package)]
    seen = set(pending)
    while pending:
        module = pending.pop()
        for imported in imports_of(module):
            importers.setdefault(imported, module)
            if imported in MODULES and imported not in seen:
                seen.add(imported)
                pending.append(imported)
    return importers


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def test_the_walk_finds_the_modules_and_their_imports() -> None:
    assert "core.errors" in imports_of("core.services")
    assert "core.enhancement.protocol" in MODULES


def test_modules_import_only_packages_that_their_own_may_use() -> None:
    ours = {*PACKAGES, "migrations", "tests"}
    used = {module: {name.partition(".")[0] for name in imports_of(module)} & ours for module in MODULES}

    assert {module: packages for module, packages in used.items() if packages - ALLOWED[module.partition(".")[0]]} == {}


@pytest.mark.parametrize("forbidden", FORBIDDEN_TO_THE_API)
def test_nothing_that_the_api_reaches_imports_an_engine(forbidden: str) -> None:
    found = {name: by for name, by in reachable_from("api").items() if is_within(name, forbidden)}

    assert not found


@pytest.mark.parametrize("package", ["fastapi", "starlette", "uvicorn", "python_multipart"])
def test_no_web_framework_below_the_api(package: str) -> None:
    found = [
        module
        for module in MODULES
        if not is_within(module, "api") and any(is_within(name, package) for name in imports_of(module))
    ]

    assert not found


def test_package_inits_are_empty_but_for_a_docstring() -> None:
    inits = {name: ast.parse(path.read_text("utf-8")) for name, path in MODULES.items() if path.name == "__init__.py"}

    assert [name for name, tree in inits.items() if not all(_is_docstring(node) for node in tree.body)] == []


def events_of(module: str) -> Iterator[str]:
    """What `module` gives its logger to say; of values within, what stands around them."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="logger"), attr=method), args=[*arguments]):
                message = arguments[1 if method == "log" else 0]
                yield from (part.value for part in ast.walk(message) if isinstance(part, ast.Constant))


def test_events_in_the_log_are_named_in_one_way() -> None:
    """In snake_case, without values; training alone, which logs to a terminal, has sentences where it has figures."""
    events = {event: module for module in MODULES for event in events_of(module)}
    odd = {event: module for event, module in events.items() if not re.fullmatch(r"[a-z][a-z0-9_]*", event)}

    assert "job_succeeded" in events
    assert {event for event, module in odd.items() if not (is_within(module, "training") and "%" in event)} == set()


def modules_loaded_with(module: str) -> list[str]:
    script = f"import sys, {module}; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.splitlines()


def test_importing_the_worker_loads_no_numpy() -> None:
    """Its parent process stays light, and no fork inherits threads of a numeric library."""
    loaded = modules_loaded_with("worker.app")

    assert "worker.app" in loaded
    assert not {"numpy", "scipy", "torch"} & set(loaded)


def test_importing_the_api_loads_no_engine() -> None:
    loaded = modules_loaded_with("api.main")

    assert "api.main" in loaded
    assert not [name for name in loaded for heavy in FORBIDDEN_TO_THE_API if is_within(name, heavy)]
    # What a stranger's file could make crash: it is decoded in a process of its own.
    assert not {"av", "soundfile"} & set(loaded)
    # What takes most of a second to load, and only runs jobs or migrates.
    assert not {"scipy.signal", "alembic"} & set(loaded)
