"""Last step of the pipeline: estimates become files at the input's rate and length, with the DSP chain on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from core.audio import dnsmos
from core.audio.decode import gather_blocks
from core.audio.encode import keeps_overs
from core.audio.envelope import EnvelopeMeter
from core.audio.loudness import HOP_S
from core.audio.resample import resample_stream
from core.dsp.chain import parse_chain, run_chain
from core.dsp.levels import RmsAnalyser, RmsMatch
from core.dsp.step import Step
from core.enhancement.bandwidth import CarriedBand
from core.enhancement.common_gain import find_common_gain, gain_warning
from core.enhancement.encodings import (
    Encoding,
    base_name,
    open_writer,
    plan_encodings,
    plan_listening_copies,
    produced,
)
from core.enhancement.levels import SignalMeter, source_warnings
from core.enhancement.prepare import Prepared
from core.enhancement.produced import ProducedFile
from core.enhancement.protocol import FloatArray
from core.enhancement.reference import ReferenceMeter
from core.enhancement.scratch import BLOCK_FRAMES, ScratchSignal
from core.enhancement.views import BEFORE, write_views
from core.options import Bandwidth, EnhanceOptions

RESIDUAL = "residual"


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The files, audio before pictures; the levels of the recording and of each role; what the user should know."""

    files: tuple[ProducedFile, ...]
    input_levels: dict[str, Any]
    output_levels: dict[str, dict[str, Any]]
    warnings: tuple[str, ...]
    comparison: dict[str, Any] | None  # with the reference
    gain: float  # that all outputs have in common; 1 unless several of them would have been clipped


def finish(
    prepared: Prepared,
    estimates: ScratchSignal | None,
    *,
    stems: Sequence[str],
    options: EnhanceOptions,
    input_name: str,
    workspace: Path,
    on_fraction: Callable[[float], None],
    reference: ScratchSignal | None = None,
) -> Finished:
    """Mix by `strength`, run the chain, encode. `estimates` holds stem after stem, each with every channel.

    The outputs have exactly the input's length, rate and channels. The residual is the input less all outputs. Where
    several outputs would be clipped by a format, one gain turns all of them down. The first of them, and the input, are
    compared with the clean `reference`, a signal like the input.
    """
    native = prepared.native
    steps = _steps_for(native, options)
    chained = [
        run_chain(
            steps,
            partial(_mixed_blocks, prepared, estimates, stem=index, stems=len(stems), options=options),
            sample_rate=native.sample_rate,
            channels=native.channels,
            scratch=partial(_chain_scratch, workspace, stem),
            on_block=partial(on_fraction, 0.0),  # so that a cancelled job stops in here too
        )
        for index, stem in enumerate(stems)
    ]
    roles = (*stems, RESIDUAL) if options.residual else tuple(stems)
    base = base_name(input_name)
    encodings = plan_encodings(prepared, roles, options=options, base=base, workspace=workspace)
    if options.listening:
        encodings += plan_listening_copies(prepared, roles, encodings, base=base, workspace=workspace)
    subjects = (BEFORE, *roles)
    meters = {subject: SignalMeter(native.sample_rate, native.channels, frames=native.frames) for subject in subjects}
    outlines = {
        subject: EnvelopeMeter(native.sample_rate, frames=native.frames)
        for subject in (subjects if options.pictures else ())
    }
    scorers = _scorers((BEFORE, *stems), native, options=options)
    comparison = None if reference is None else ReferenceMeter(native.sample_rate, native.channels)
    results = partial(_results, native, chained, stems, has_residual=options.residual)
    gain = 1.0
    if len(roles) > 1 and any(_may_clip(encoding) for encoding in encodings):
        gain = find_common_gain(_watched(results(), partial(on_fraction, 0.0)))
    with ExitStack() as stack:
        writers = [stack.enter_context(open_writer(encoding, prepared)) for encoding in encodings]
        position = 0
        for signals in results():
            stop = position + signals[stems[0]].shape[1]
            if gain != 1:
                signals = {role: signal * np.float32(gain) for role, signal in signals.items()}
            signals[BEFORE] = native.read(position, stop)
            for subject, meter in meters.items():
                meter.update(signals[subject])
            for subject, outline in outlines.items():
                outline.update(signals[subject])
            if comparison is not None and reference is not None:
                comparison.update(reference.read(position, stop), before=signals[BEFORE], after=signals[stems[0]])
            for subject, scorer in scorers.items():
                scorer.update(signals[subject])
            for encoding, writer in zip(encodings, writers, strict=True):
                writer.write(signals[encoding.signal])
            position = stop
            on_fraction(position / native.frames)
    if position != native.frames:
        raise RuntimeError(f"the chain returned {position} of {native.frames} frames")
    scores = {subject: scorer.result() for subject, scorer in scorers.items()}
    measured = {subject: meter.result() for subject, meter in meters.items()}
    levels = {subject: {**found.figures, "dnsmos": scores.get(subject)} for subject, found in measured.items()}
    views = write_views(
        {subject: outline.result() for subject, outline in outlines.items()},
        {subject: found.spectrogram for subject, found in measured.items()},
        base=base,
        workspace=workspace,
    )
    return Finished(
        files=(*(produced(encoding) for encoding in encodings), *views),
        input_levels=levels.pop(BEFORE),
        output_levels=levels,
        comparison=None if comparison is None else comparison.result(),
        gain=gain,
        warnings=source_warnings(measured[BEFORE].figures, sample_rate=native.sample_rate)
        + _missing_package(options)
        + gain_warning(gain)
        + _clipping_warning(
            {
                encoding.name: writer.clipped_samples
                for encoding, writer in zip(encodings, writers, strict=True)
                if writer.clipped_samples and encoding.role == encoding.signal
            }
        ),
    )


def _results(
    native: ScratchSignal,
    chained: Sequence[Callable[[], Iterator[FloatArray]]],
    stems: Sequence[str],
    *,
    has_residual: bool,
) -> Iterator[dict[str, FloatArray]]:
    """Block by block what each role is: the stems, and the residual where it is wanted."""
    position = 0
    block_frames = _block_frames(native.sample_rate)
    for blocks in zip(*(gather_blocks(stream(), block_frames=block_frames) for stream in chained), strict=True):
        stop = position + blocks[0].shape[1]
        signals = dict(zip(stems, blocks, strict=True))
        if has_residual:
            signals[RESIDUAL] = native.read(position, stop) - np.sum(blocks, axis=0, dtype=np.float32)
        yield signals
        position = stop


def _may_clip(encoding: Encoding) -> bool:
    """True for a result in a format that ends at full scale."""
    return encoding.role == encoding.signal and not keeps_overs(encoding.format, encoding.subtype)


def _watched(results: Iterable[dict[str, FloatArray]], on_block: Callable[[], None]) -> Iterator[FloatArray]:
    """The signals one by one; a cancelled job stops in `on_block`."""
    for signals in results:
        on_block()
        yield from signals.values()


def _scorers(
    subjects: Sequence[str], native: ScratchSignal, *, options: EnhanceOptions
) -> dict[str, dnsmos.DnsmosMeter]:
    if not options.dnsmos or not dnsmos.is_installed():
        return {}
    return {subject: dnsmos.DnsmosMeter(native.sample_rate, frames=native.frames) for subject in subjects}


def _clipping_warning(clipped: Mapping[str, int]) -> tuple[str, ...]:
    """One line for all the files, by name, whose format had to clip samples."""
    if not clipped:
        return ()
    places = ", ".join(f"{samples} in {name!r}" for name, samples in clipped.items())
    return (f"Samples beyond full scale were clipped: {places}. WAV with subtype FLOAT keeps them.",)


def _missing_package(options: EnhanceOptions) -> tuple[str, ...]:
    if not options.dnsmos or dnsmos.is_installed():
        return ()
    return ("DNSMOS was asked for, and its package is not installed on this worker: pip install 'limpid[dnsmos]'.",)


def _steps_for(native: ScratchSignal, options: EnhanceOptions) -> tuple[Step, ...]:
    """The chain's steps, those that need the recording's RMS against this recording's."""
    steps = parse_chain(options.chain)
    if not any(isinstance(step, RmsMatch) and step.enabled for step in steps):
        return steps
    analyser = RmsAnalyser()
    for block in native.blocks():
        analyser.update(block)
    rms = float(analyser.result())
    return tuple(step.against(rms) if isinstance(step, RmsMatch) else step for step in steps)


def _mixed_blocks(
    prepared: Prepared, estimates: ScratchSignal | None, *, stem: int, stems: int, options: EnhanceOptions
) -> Iterator[FloatArray]:
    """strength * estimate + (1 - strength) * input at the input's rate, block by block."""
    native, strength = prepared.native, options.strength
    if estimates is None or strength == 0:
        yield from native.blocks()
        return
    position = 0
    for estimate in _estimate_blocks(prepared, estimates, stem=stem, stems=stems, bandwidth=options.bandwidth):
        stop = position + estimate.shape[1]
        if strength == 1:
            yield estimate
        else:
            dry = native.read(position, stop)
            yield (strength * estimate + (1 - strength) * dry).astype(np.float32, copy=False)
        position = stop


def _estimate_blocks(
    prepared: Prepared, estimates: ScratchSignal, *, stem: int, stems: int, bandwidth: Bandwidth
) -> Iterator[FloatArray]:
    """The estimate of one stem at the input's rate, block by block."""
    native = prepared.native
    channels = slice(stem * native.channels, (stem + 1) * native.channels)
    if bandwidth == "keep" and prepared.model is not native:
        yield from CarriedBand(native, prepared.model, estimates, channels=channels, stems=stems).blocks()
        return
    yield from resample_stream(
        estimates.blocks(channels),
        estimates.sample_rate,
        output_rate=native.sample_rate,
        channels=native.channels,
        output_frames=native.frames,
    )


def _block_frames(sample_rate: int) -> int:
    """About `BLOCK_FRAMES`, as what is made of larger blocks does not stay in the cache, and whole steps of the
    loudness meter, so that the meters need not put blocks together.
    """
    hop = max(round(sample_rate * HOP_S), 1)
    return max(BLOCK_FRAMES // hop, 1) * hop


def _chain_scratch(workspace: Path, stem: str, name: str) -> Path:
    return workspace / f"{stem}.{name}.f32"
