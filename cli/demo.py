"""`limpid demo`: the main job end to end on the bundled recording, with figures before and after."""

from __future__ import annotations

import importlib.resources
import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from cli.embedded import embedded_stack
from cli.errors import CommandError
from cli.signals import interrupt_on_terminate
from core.presets import DEFAULT_PRESET
from limpid_client.client import LimpidClient
from limpid_client.records import RemoteJob

if TYPE_CHECKING:
    from core.settings import Settings

FloatArray = NDArray[np.float32]

POLL_S = 1.0
JOB_TIMEOUT_S = 300.0  # for eight seconds of audio; what takes longer will not end


def demo(
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the files go.")] = Path(
        "demo-output"
    ),
    preset: Annotated[str, typer.Option(help="See `limpid presets`.")] = DEFAULT_PRESET,
) -> None:
    """Start the embedded stack, enhance the bundled noisy recording over REST, compare with the clean one, and stop."""
    recordings = importlib.resources.files("cli.recordings")
    with importlib.resources.as_file(recordings) as bundled, interrupt_on_terminate():
        output.mkdir(parents=True, exist_ok=True)
        for name in ("noisy.flac", "clean.flac"):
            shutil.copyfile(bundled / name, output / name)
        job, enhanced = _enhance_over_rest(output / "noisy.flac", output, preset=preset)
        figures = compare(output / "clean.flac", output / "noisy.flac", enhanced, picture=output / "spectrograms.png")
    (output / "figures.json").write_text(json.dumps(figures | _job_figures(job), indent=2) + "\n", encoding="utf-8")
    _print_table(figures, _job_figures(job))
    typer.echo(f"Listen: {output / 'noisy.flac'} and {enhanced}; see {output / 'spectrograms.png'}")


def compare(clean: Path, noisy: Path, enhanced: Path, *, picture: Path) -> dict[str, dict[str, float]]:
    """SI-SDR in dB and STOI (0..1) of `noisy` and `enhanced` against `clean`; draws the three spectrograms.

    CommandError when the enhanced file does not have exactly the length and rate of the others.
    """
    from training.metrics import si_sdr_db, stoi
    from training.plots import save_spectrograms

    reference, sample_rate = _read(clean)
    signals = {"noisy": _read(noisy), "enhanced": _read(enhanced)}
    for name, (wav, rate) in signals.items():
        if (wav.size, rate) != (reference.size, sample_rate):
            raise CommandError(
                f"{name} has {wav.size} samples at {rate} Hz, the clean one {reference.size} at {sample_rate}."
            )
    save_spectrograms(
        picture, {name: wav for name, (wav, _) in signals.items()} | {"clean": reference}, sample_rate=sample_rate
    )
    return {
        name: {"si_sdr_db": si_sdr_db(wav, reference), "stoi": stoi(wav, reference)}
        for name, (wav, _) in signals.items()
    }


def _enhance_over_rest(noisy: Path, folder: Path, *, preset: str) -> tuple[RemoteJob, Path]:
    """Return the succeeded job and its enhanced file."""
    with (
        tempfile.TemporaryDirectory(prefix="limpid-demo-") as data_dir,
        embedded_stack(Path(data_dir), host="127.0.0.1", port=0, announce=_say, stop=Event()) as stack,
        LimpidClient(stack.url, api_key=key_for(stack.settings)) as client,
    ):
        _say(f"The embedded stack is ready at {stack.url}")
        job = client.submit(noisy, preset=preset)
        _say(f"Submitted {noisy.name} as job {job.id}")
        job = _follow(client, job)
        if not job.has_succeeded:
            raise CommandError(f"The job {job.status}: {job.error_detail or 'no reason given'}")
        output = next(output for output in job.outputs if output.role == "enhanced")
        enhanced = client.download(output, folder)
        _say("Stopping the stack")
    return job, enhanced


def key_for(settings: Settings) -> str | None:
    """A key of the demo's own stack, where the environment asks for keys."""
    if settings.auth == "off":
        return None
    from core.access.keys import Scope, create_key
    from core.access.keys_sql import SqlKeyRepository
    from core.database import create_engine_for

    engine = create_engine_for(settings)
    _, token = create_key("demo", [Scope.SUBMIT, Scope.READ], keys=SqlKeyRepository(engine), now=datetime.now(UTC))
    engine.dispose()
    return token


def _follow(client: LimpidClient, job: RemoteJob) -> RemoteJob:
    """Wait for the job's end, with a bar, or a line per change where there is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("queued", total=1.0)
        deadline = time.monotonic() + JOB_TIMEOUT_S
        while not job.has_ended:
            if time.monotonic() > deadline:
                raise CommandError(f"The job was still {job.status} after {JOB_TIMEOUT_S:g} s.")
            latest = client.get(job.id, known=job, wait_s=POLL_S)
            if latest is not job and not console.is_terminal:
                _say(f"  {latest.stage or latest.status} {latest.fraction:.0%}")
            job = latest
            bar.update(task, completed=job.fraction, description=job.stage or job.status)
    return job


def _job_figures(job: RemoteJob) -> dict[str, float | None]:
    return {"duration_s": job.document["progress"]["duration_s"], "rtf": job.rtf}


def _print_table(figures: Mapping[str, Mapping[str, float]], job: Mapping[str, float | None]) -> None:
    before, after = figures["noisy"], figures["enhanced"]
    typer.echo("")
    typer.echo(f"{'':12}{'before':>10}{'after':>10}{'change':>10}")
    for label, key, digits in (("SI-SDR, dB", "si_sdr_db", 2), ("STOI", "stoi", 3)):
        change = after[key] - before[key]
        typer.echo(f"{label:12}{before[key]:>10.{digits}f}{after[key]:>10.{digits}f}{change:>+10.{digits}f}")
    typer.echo(f"\nduration {job['duration_s'] or 0:.2f} s, RTF {job['rtf'] or 0:.3f} (processing time / duration)\n")


def _read(path: Path) -> tuple[FloatArray, int]:
    import soundfile

    wav, sample_rate = soundfile.read(path, dtype="float32")
    return wav, sample_rate


def _say(line: str) -> None:
    typer.echo(line, err=True)
