"""The DSP chain: steps as JSON, and running them over a recording of any length in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from core.dsp.equalizer import CLARITY_BOOST, MUD_CUT, PRESENCE_BOOST, EqualizerBand
from core.dsp.filters import HighPass, LowPass, join_filters
from core.dsp.hum import HumFilter
from core.dsp.levels import PeakNormalize, RmsMatch, RmsNormalize, SoftClip
from core.dsp.loudness_target import LoudnessNormalize
from core.dsp.noise_gate import NoiseGate
from core.dsp.raw_file import read_raw, write_raw
from core.dsp.spectral_subtraction import SpectralSubtraction
from core.dsp.step import Analyser, FloatArray, Processor, Step
from core.errors import InvalidOptions

BLOCK_FRAMES = 65_536
MAX_STEPS = 32

_DEFAULTS: tuple[Step, ...] = (
    HighPass(),
    LowPass(),
    SpectralSubtraction(),
    NoiseGate(),
    MUD_CUT,
    PRESENCE_BOOST,
    CLARITY_BOOST,
    PeakNormalize(),
    EqualizerBand(low_hz=1_000.0, high_hz=2_000.0, gain_db=0.0),
    SoftClip(),
    RmsNormalize(),
    RmsMatch(),
    HumFilter(),
    LoudnessNormalize(),
)
STEPS: Mapping[str, Step] = {step.name: step for step in _DEFAULTS}
"""Every step under its name, with its default parameters."""

VOICE_CHAIN: tuple[Step, ...] = _DEFAULTS[:8]
"""What follows the model in the voice chain, in order: filters, hiss, gaps, equalizer, level."""


def parse_chain(chain: Iterable[Mapping[str, Any]]) -> tuple[Step, ...]:
    """Return the steps of `chain`, each like {"step": "high_pass", "enabled": true, "cutoff_hz": 80.0}, in its order.

    Parameters that are left out have their defaults. Raises InvalidOptions, with the step's place in the chain, for an
    unknown step, an unknown parameter or a value out of range.
    """
    described = list(chain)
    if len(described) > MAX_STEPS:
        raise InvalidOptions(f"chain has {len(described)} steps; the most is {MAX_STEPS}")
    return tuple(_parse_step(description, place) for place, description in enumerate(described, start=1))


def _parse_step(description: Mapping[str, Any], place: int) -> Step:
    parameters = dict(description)
    name = parameters.pop("step", None)
    if not isinstance(name, str) or name not in STEPS:
        raise InvalidOptions(f"chain, step {place}: {name!r} is no step; choose one of {', '.join(STEPS)}")
    default: Any = STEPS[name]
    known = _parameters(default)
    for parameter, value in parameters.items():
        if parameter not in known:
            raise InvalidOptions(
                f"chain, step {place}: {name} has no parameter {parameter!r}; it has {', '.join(known)}"
            )
        if isinstance(known[parameter], bool) and not isinstance(value, bool):
            raise InvalidOptions(f"chain, step {place}: {name}: {parameter} is {value!r}; it must be true or false")
    try:
        step: Step = replace(default, **parameters)
    except InvalidOptions as error:
        raise InvalidOptions(f"chain, step {place}: {error}") from error
    return step


def chain_as_json(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """Return `steps` with all their parameters, as `parse_chain` takes them."""
    return [{"step": step.name, **_parameters(step)} for step in steps]


def _parameters(step: Any) -> dict[str, Any]:  # noqa: ANN401 (fields() takes any dataclass, Step is a protocol)
    values = {field.name: getattr(step, field.name) for field in fields(step) if field.name != "name"}
    return {"enabled": values.pop("enabled"), **values}


def run_chain(
    steps: Sequence[Step],
    source: Callable[[], Iterator[FloatArray]],
    *,
    sample_rate: int,
    channels: int,
    scratch: Callable[[str], Path],
    on_block: Callable[[], None] | None = None,
) -> Callable[[], Iterator[FloatArray]]:
    """Return a stream like `source`, blocks (C, T), that has gone through the enabled `steps`, in their order.

    The result is as long as `source`, aligned with it and the same for every block size. A step that must see its whole
    input first ends a pass: its input is written to `scratch(name)`, raw float32, while it is analysed; that happens
    here, the last pass each time the returned function is called. `source` may be called more than once and must yield
    the same each time. At most two scratch files exist at a time; the last one stays for the caller to remove.
    `on_block` is called after each block of an analysing pass; what it raises stops the chain.
    """
    stream = source
    starters: list[Callable[[], Processor]] = []
    spilled: Path | None = None
    for place, step in enumerate(steps, start=1):
        if not step.enabled:
            continue
        analyser = step.analyser(sample_rate, channels)
        if analyser is None:
            starters.append(partial(step.start, sample_rate, channels))
            continue
        watched = _watched(_process(stream, starters), analyser, on_block)
        if starters:
            path = scratch(f"chain-{place}")
            write_raw(path, watched)
            if spilled is not None:
                spilled.unlink()
            stream, spilled = partial(read_raw, path, channels=channels, block_frames=BLOCK_FRAMES), path
        else:
            deque(watched, maxlen=0)
        starters = [partial(step.start, sample_rate, channels, analysis=analyser.result())]
    return partial(_process, stream, starters)


def _process(
    stream: Callable[[], Iterator[FloatArray]], starters: Sequence[Callable[[], Processor]]
) -> Iterator[FloatArray]:
    """Yield `stream` after all processors, none of the blocks empty, what they held back at the end."""
    processors = join_filters(start() for start in starters)
    for wav in stream():
        for processor in processors:
            wav = processor.process(wav)
        if wav.shape[-1]:
            yield wav
    for place, processor in enumerate(processors, start=1):
        wav = processor.flush()
        for following in processors[place:]:
            wav = following.process(wav)
        if wav.shape[-1]:
            yield wav


def _watched(
    blocks: Iterable[FloatArray], analyser: Analyser, on_block: Callable[[], None] | None
) -> Iterator[FloatArray]:
    for block in blocks:
        analyser.update(block)
        if on_block is not None:
            on_block()
        yield block
