"""What can be measured: models, checkpoint files, and presets with everything that they do to a recording."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile as sf

from core.enhancement.loader import load_enhancer
from core.enhancement.pipeline import run_pipeline
from core.enhancement.protocol import Enhancer
from core.errors import ModelUnavailable
from core.models.checkpoints import read_card
from core.operator_defaults import OperatorDefaults
from core.options import EnhanceOptions, resolve_options
from core.presets import PRESETS
from training.datasets import FloatArray
from training.evaluation import SAMPLE_RATE, SPEECH_STEM, Process, process_with
from training.pairs import read_mono


@dataclass(frozen=True, kw_only=True)
class System:
    """One column of an evaluation. `engine` is None for a preset that has no model."""

    name: str
    process: Process
    engine: Enhancer | None


def open_systems(names: Sequence[str], *, models_dir: Path, operator: OperatorDefaults) -> list[System]:
    """Return the systems of these names, in order; a name that comes again gets a number.

    A name is a preset's, which is measured with its whole chain, a model's, or a checkpoint file's (.safetensors).
    Raises NotFound or ModelUnavailable for what is unknown or not installed.
    """
    systems: list[System] = []
    for name in names:
        system = _open(name, models_dir=models_dir, operator=operator)
        taken = {other.name for other in systems}
        numbered = (f"{system.name}-{number}" for number in itertools.count(2))
        unique = system.name if system.name not in taken else next(name for name in numbered if name not in taken)
        systems.append(replace(system, name=unique))
    return systems


def _open(name: str, *, models_dir: Path, operator: OperatorDefaults) -> System:
    if name in PRESETS:
        options = resolve_options(name, {"pictures": False}, [{"format": "wav", "subtype": "FLOAT"}], operator=operator)
        engine = None
        if options.model is not None:
            engine = load_enhancer(options.model, models_dir=models_dir, shifts=options.shifts, overlap=options.overlap)
        return System(name=name, process=process_with_preset(options, engine), engine=engine)
    engine = load_checkpoint_engine(Path(name)) if name.endswith(".safetensors") else None
    engine = engine or load_enhancer(name, models_dir=models_dir)
    return System(name=engine.info.name, process=process_with(engine), engine=engine)


def process_with_preset(options: EnhanceOptions, engine: Enhancer | None) -> Process:
    """Return the function that does to a recording all that a job with `options` does, its report included."""

    def process(wav: FloatArray) -> FloatArray:
        with tempfile.TemporaryDirectory(prefix="limpid-evaluate-") as folder:
            source = Path(folder) / "recording.wav"
            sf.write(source, wav, SAMPLE_RATE, subtype="FLOAT")
            workspace = Path(folder) / "work"
            workspace.mkdir()
            result = run_pipeline(
                source,
                options=options,
                input_name=source.name,
                workspace=workspace,
                enhancer=engine,
                on_progress=lambda *_: None,
            )
            by_role = {file.role: file.path for file in result.files}
            estimate = read_mono(by_role.get(SPEECH_STEM, result.files[0].path), sample_rate=SAMPLE_RATE)
        return np.pad(estimate, (0, max(0, len(wav) - len(estimate))))[: len(wav)]

    return process


def load_checkpoint_engine(path: Path) -> Enhancer:
    """Return the engine of a checkpoint of our own format, of any architecture that has one."""
    from core.enhancement import band_split_generator, band_split_lstm, htdemucs_checkpoint, mask_cnn, two_stage_unet

    engines: dict[str, Callable[[Path], Enhancer]] = {
        band_split_generator.ARCHITECTURE: band_split_generator.BandSplitGeneratorEnhancer.from_checkpoint,
        band_split_lstm.ARCHITECTURE: band_split_lstm.BandSplitLstmEnhancer.from_checkpoint,
        htdemucs_checkpoint.ARCHITECTURE: htdemucs_checkpoint.load_separator,
        mask_cnn.ARCHITECTURE: mask_cnn.MaskCnnEnhancer.from_checkpoint,
        two_stage_unet.ARCHITECTURE: two_stage_unet.TwoStageUNetEnhancer.from_checkpoint,
    }
    architecture = read_card(path).architecture
    if architecture not in engines:
        raise ModelUnavailable(f"There is no engine for the architecture {architecture!r} of {path.stem!r}")
    return engines[architecture](path)
