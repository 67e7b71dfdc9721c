"""`limpid presets`: what can be asked for."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from cli.configuration import load_settings


def presets(*, as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """List the presets, and whether the model of each is installed here."""
    from core.estimation.cost import relative_cost
    from core.model_catalogue import is_installed
    from core.options import resolve_options
    from core.presets import DEFAULT_PRESET, PRESETS

    settings = load_settings()
    shown = [settings.operator_defaults.apply(preset) for preset in PRESETS.values()]
    costs = {
        preset.name: relative_cost(resolve_options(preset.name, operator=settings.operator_defaults))
        for preset in shown
    }
    installed = {
        preset.name: preset.model is None or is_installed(preset.model, settings.resolved_models_dir)
        for preset in shown
    }
    if as_json:
        rows = [
            dataclasses.asdict(preset) | {"installed": installed[preset.name], "relative_cost": costs[preset.name]}
            for preset in shown
        ]
        typer.echo(json.dumps(rows, indent=2))
        return

    from rich.console import Console
    from rich.table import Table

    table = Table("Preset", "Model", "Installed", "Passes", "What it does", box=None)
    for preset in shown:
        name = f"{preset.name} (default)" if preset.name == DEFAULT_PRESET else preset.name
        table.add_row(
            name,
            preset.model or "none",
            "yes" if installed[preset.name] else "no",
            f"{costs[preset.name]:.3g}",
            preset.description,
        )
    Console().print(table)
