"""The `limpid` command. A command's module is imported only when it runs, so that `limpid --help` is quick."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from cli.errors import CommandError
from core.errors import EnhancerError
from limpid_client.errors import ApiError

OWN_PACKAGES = frozenset({"api", "cli", "core", "limpid_client", "migrations", "training", "worker"})


@dataclass(frozen=True, kw_only=True)
class LazyCommand:
    """Where a command is: a function, or a `typer.Typer` with commands of its own."""

    module: str
    attribute: str
    help: str
    extra: str | None = None  # the optional dependencies that it needs


COMMANDS: Mapping[str, LazyCommand] = {
    "up": LazyCommand(
        module="cli.up", attribute="up", help="Run the whole stack here, with nothing to install.", extra="api,worker"
    ),
    "demo": LazyCommand(
        module="cli.demo", attribute="demo", help="Enhance the bundled recording over REST.", extra="api,worker,metrics"
    ),
    "enhance": LazyCommand(
        module="cli.enhance", attribute="enhance", help="Enhance files directly, without a server.", extra="worker"
    ),
    "submit": LazyCommand(module="cli.submit", attribute="submit", help="Submit files to a server as jobs."),
    "watch": LazyCommand(module="cli.watch", attribute="watch", help="Enhance what arrives in a folder."),
    "presets": LazyCommand(module="cli.presets", attribute="presets", help="List the presets."),
    "models": LazyCommand(module="cli.models", attribute="app", help="List, pull and describe models.", extra="worker"),
    "keys": LazyCommand(module="cli.keys", attribute="app", help="Create, list and revoke API keys."),
    "doctor": LazyCommand(module="cli.doctor", attribute="doctor", help="Check configuration and services."),
    "migrate": LazyCommand(module="cli.processes", attribute="migrate", help="Bring the database to this version."),
    "api": LazyCommand(module="cli.processes", attribute="api", help="Run the REST API.", extra="api"),
    "worker": LazyCommand(module="cli.processes", attribute="worker", help="Run a worker.", extra="worker"),
    "scheduler": LazyCommand(module="cli.processes", attribute="scheduler", help="Run the periodic tasks' clock."),
    "train": LazyCommand(module="cli.train", attribute="train", help="Train a model from a recipe.", extra="train"),
    "synth": LazyCommand(
        module="cli.synth", attribute="synth", help="Write fixed pairs of noisy and clean files.", extra="train"
    ),
    "evaluate": LazyCommand(
        module="cli.evaluate", attribute="evaluate", help="Measure a model or preset on data.", extra="train"
    ),
    "bench": LazyCommand(
        module="cli.bench", attribute="bench", help="Measure speed and memory on this machine.", extra="worker"
    ),
}


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they are run; its own help needs none of them.

    It also turns what a person can act on into one line on standard error and exit status 1. The contexts are typed as
    Any because typer keeps its copy of Click private.
    """

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        target = getattr(importlib.import_module(entry.module), entry.attribute)
        if not isinstance(target, typer.Typer):
            command = typer.Typer(add_completion=False)
            command.command(cmd_name)(target)
            target = command
        return typer.main.get_command(target)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        command_name = (*ctx._protected_args, *ctx.args)[0] if ctx._protected_args else ""
        try:
            return super().invoke(ctx)
        except EnhancerError as error:
            fail(error.detail, cause=error)
        except (CommandError, ApiError) as error:
            fail(str(error), cause=error)
        except ModuleNotFoundError as error:
            entry = COMMANDS.get(command_name)
            package = (error.name or "").partition(".")[0]
            if entry is None or entry.extra is None or package in OWN_PACKAGES:
                raise
            fail(f"{package} is not installed. Install it with: pip install 'limpid[{entry.extra}]'", cause=error)


def fail(message: str, *, cause: Exception) -> NoReturn:
    """Say what is wrong on standard error and end with status 1."""
    typer.echo(f"limpid: {message}", err=True)
    raise typer.Exit(1) from cause


app = typer.Typer(
    cls=LazyGroup,
    name="limpid",
    help="Restore recordings: noise out of speech, stems out of mixes.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"limpid {version('limpid')}")
        raise typer.Exit


@app.callback()
def root(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """The options of `limpid` itself."""


if __name__ == "__main__":
    sys.exit(app())
