"""What this machine has: versions, models, a GPU, room on the scratch disk."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from cli.checks.check import Check, bad, note, ok
from core.jobs import Device

if TYPE_CHECKING:
    from core.settings import Settings

LEAST_FREE_BYTES = 2 * 1024**3  # an hour of stereo at 48 kHz is 1.4 GB of float32 scratch


def check_machine(settings: Settings) -> Iterator[Check]:
    """Versions, engine, models and disk."""
    yield ok("limpid", f"{version('limpid')} on Python {platform.python_version()}, {platform.platform(terse=True)}")
    yield from _engine(settings)
    yield from _models(settings)
    yield _disk(settings)


def _engine(settings: Settings) -> Iterator[Check]:
    try:
        torch_version = version("torch")
    except PackageNotFoundError:
        yield note("pytorch", "not installed: this machine can serve the API, and cannot run jobs")
        return
    yield ok("pytorch", torch_version)
    if Device(settings.device) is Device.GPU:
        import torch

        if torch.cuda.is_available():
            yield ok("gpu", torch.cuda.get_device_name())
        else:
            yield note("gpu", "none here: LIMPID_DEVICE=gpu sends jobs to workers on machines that have one")


def _models(settings: Settings) -> Iterator[Check]:
    """The default preset's model is needed; the others are as the operator likes."""
    from core.model_catalogue import Origin, find_model, is_installed
    from core.presets import DEFAULT_PRESET, PRESETS

    presets = [settings.operator_defaults.apply(preset) for preset in PRESETS.values()]
    for model in dict.fromkeys(preset.model for preset in presets if preset.model):
        users = [preset.name for preset in presets if preset.model == model]
        name = f"model {model}"
        if is_installed(model, settings.resolved_models_dir):
            yield ok(name, f"installed; used by {', '.join(users)}")
            continue
        remedy = {
            Origin.BUNDLED: "reinstall Limpid, which brings it",
            Origin.TRAINED: "train it (docs/training.md)",
        }.get(find_model(model).origin, f"get it with `limpid models pull {model}`")
        judge = bad if DEFAULT_PRESET in users else note
        yield judge(name, f"not installed; for {', '.join(users)} {remedy}")


def _disk(settings: Settings) -> Check:
    folder = next(
        path for path in (settings.resolved_scratch_dir, *settings.resolved_scratch_dir.parents) if path.exists()
    )
    free_bytes = shutil.disk_usage(folder).free
    judge = ok if free_bytes >= LEAST_FREE_BYTES else bad
    return judge("scratch", f"{free_bytes / 1024**3:.1f} GiB free at {folder}")
