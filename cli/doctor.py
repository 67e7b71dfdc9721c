"""`limpid doctor`: what is configured, what answers, what is missing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cli.configuration import load_settings
from core.errors import EnhancerError

if TYPE_CHECKING:
    from core.settings import Settings

LEAST_FREE_BYTES = 2 * 1024**3  # an hour of stereo at 48 kHz is 1.4 GB of float32 scratch


class Verdict(StrEnum):
    """What a check found."""

    OK = "ok"
    NOTE = "note"  # worth knowing; nothing that is needed is missing
    BAD = "bad"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of the diagnosis."""

    name: str
    verdict: Verdict
    detail: str


def doctor(*, as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """Check configuration, services, models and disk. The exit status is 1 when something needed is missing."""
    checks = list(diagnose(load_settings()))
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            typer.echo(f"{check.verdict:<5} {check.name:<18} {check.detail}")
    if any(check.verdict is Verdict.BAD for check in checks):
        raise typer.Exit(1)


def diagnose(settings: Settings) -> Iterator[Check]:
    """Every check, in the order in which a person would look."""
    yield Check(name="data folder", verdict=Verdict.OK, detail=str(settings.data_dir.resolve()))
    yield from _services(settings)
    yield from _models(settings)
    yield _disk(settings)


def _services(settings: Settings) -> Iterator[Check]:
    from core.backend import open_backend

    try:
        backend = open_backend(settings)
    except EnhancerError as error:
        yield Check(name="services", verdict=Verdict.BAD, detail=error.detail)
        return
    store = settings.s3_endpoint and f"{_without_credentials(settings.s3_endpoint)}, bucket {settings.s3_bucket}"
    database = _answers("database", _without_credentials(settings.resolved_database_url), backend.jobs.check)
    yield database
    if database.verdict is Verdict.OK:
        yield _schema(settings)
    yield _answers("broker", _without_credentials(settings.resolved_broker_url), backend.queue.check)
    yield _answers("store", store or str(settings.objects_dir), backend.store.check)


def _answers(name: str, address: str, check: Callable[[], None]) -> Check:
    try:
        check()
    except EnhancerError as error:
        return Check(name=name, verdict=Verdict.BAD, detail=f"{address}: {error.detail}")
    return Check(name=name, verdict=Verdict.OK, detail=address)


def _schema(settings: Settings) -> Check:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from core.database import alembic_config, engine_of

    engine = engine_of(settings.resolved_database_url)
    with engine.connect() as connection:
        here = set(MigrationContext.configure(connection).get_current_heads())
        newest = set(ScriptDirectory.from_config(alembic_config(connection)).get_heads())
    engine.dispose()
    if here == newest:
        return Check(name="schema", verdict=Verdict.OK, detail=f"up to date ({', '.join(here)})")
    return Check(name="schema", verdict=Verdict.BAD, detail="not that of this version; run `limpid migrate`")


def _models(settings: Settings) -> Iterator[Check]:
    """The default preset's model is needed; the others are as the operator likes."""
    from core.model_catalogue import Origin, find_model, is_installed
    from core.presets import DEFAULT_PRESET, PRESETS

    presets = [settings.operator_defaults.apply(preset) for preset in PRESETS.values()]
    for model in dict.fromkeys(preset.model for preset in presets if preset.model):
        users = [preset.name for preset in presets if preset.model == model]
        name = f"model {model}"
        if is_installed(model, settings.resolved_models_dir):
            yield Check(name=name, verdict=Verdict.OK, detail=f"installed; used by {', '.join(users)}")
            continue
        verdict = Verdict.BAD if DEFAULT_PRESET in users else Verdict.NOTE
        is_bundled = find_model(model).origin is Origin.BUNDLED
        remedy = "reinstall Limpid, which brings it" if is_bundled else f"get it with `limpid models pull {model}`"
        detail = f"not installed; for {', '.join(users)} {remedy}"
        yield Check(name=name, verdict=verdict, detail=detail)


def _disk(settings: Settings) -> Check:
    folder = next(
        path for path in (settings.resolved_scratch_dir, *settings.resolved_scratch_dir.parents) if path.exists()
    )
    free_bytes = shutil.disk_usage(folder).free
    verdict = Verdict.OK if free_bytes >= LEAST_FREE_BYTES else Verdict.BAD
    return Check(name="scratch", verdict=verdict, detail=f"{free_bytes / 1024**3:.1f} GiB free at {folder}")


def _without_credentials(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url.partition("?")[0])
