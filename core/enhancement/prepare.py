"""First step of the pipeline: a file becomes scratch signals at its own and the engine's rate, with global figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from core.audio.cover import Cover
from core.audio.formats import AudioProbe
from core.audio.isolated_reader import IsolatedReader
from core.audio.music import MusicMeter
from core.audio.resample import expected_frames, resample_stream
from core.enhancement.levels import music_warning
from core.enhancement.protocol import EnhancerInfo, FloatArray, SignalStatistics
from core.enhancement.scratch import BYTES_PER_SAMPLE, ScratchSignal, require_free_disk
from core.enhancement.statistics import StatisticsMeter
from core.errors import InputTooLarge, InvalidAudio
from core.options import EnhanceOptions

_DECODE_SHARE = 0.7
"""Of the stage's time, for a compressed file whose rate is not the engine's."""

_DISK_RESERVE_BYTES = 64 * 1024**2
"""Left free on the scratch disk by a file whose header does not tell how large it becomes: other jobs use it too."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What the later steps read. `model` is `native` itself when no resampling was needed, or no engine runs."""

    probe: AudioProbe
    native: ScratchSignal
    model: ScratchSignal
    groups: tuple[tuple[int, ...], ...]
    statistics: tuple[SignalStatistics, ...]  # one for each group
    tonal_ratio: float | None  # of a MusicMeter, where music would be taken for noise
    tags: dict[str, str]
    cover: Cover | None
    warnings: tuple[str, ...]


def prepare(
    source: Path,
    *,
    options: EnhanceOptions,
    input_name: str,
    workspace: Path,
    info: EnhancerInfo | None,
    scratch: ExitStack,
    on_fraction: Callable[[float], None],
    max_duration_s: float = math.inf,
) -> Prepared:
    """Decode `source` into signals below `workspace` that `scratch` closes; `on_fraction` hears of 0..1 of this step.

    UnsupportedMedia or InvalidAudio when it cannot be decoded, InputTooLarge when it turns out to be longer than
    `max_duration_s`, whatever its header says, InsufficientDisk when the scratch files will not fit.
    """
    with IsolatedReader(source, name=input_name, track=options.track) as reader:
        probed, tags, cover = reader.probe, dict(reader.tags), reader.cover
        if probed.frames is not None:
            require_free_disk(workspace, scratch_bytes(probed, options=options, info=info))
        native = _decode(
            reader, workspace=workspace, scratch=scratch, on_fraction=on_fraction, max_duration_s=max_duration_s
        )
        warnings: tuple[str, ...] = (reader.warning,) if reader.warning else ()
    actual = replace(probed, frames=native.frames)
    written_bytes = native.frames * native.channels * BYTES_PER_SAMPLE
    require_free_disk(workspace, scratch_bytes(actual, options=options, info=info) - written_bytes)
    if probed.tracks > 1:
        warnings = (
            f"The file holds {probed.tracks} sound tracks; this is track {options.track}. The override track chooses.",
            *warnings,
        )
    model, tonal_ratio = native, None
    groups: tuple[tuple[int, ...], ...] = ()
    statistics: tuple[SignalStatistics, ...] = ()
    if info is not None:
        groups = channel_groups(native.channels, info.channels)
        levels = StatisticsMeter(groups)
        music = MusicMeter(info.sample_rate) if info.is_denoiser and not info.keeps_music else None
        model = _at_rate(
            native,
            info.sample_rate,
            workspace=workspace,
            scratch=scratch,
            on_fraction=on_fraction,
            meters=(levels,) if music is None else (levels, music),
        )
        statistics = levels.result()
        if music is not None:
            tonal_ratio = music.result()
            warnings += music_warning(info.name, tonal_ratio)
    on_fraction(1.0)
    return Prepared(
        probe=probed,
        native=native,
        model=model,
        groups=groups,
        statistics=statistics,
        tonal_ratio=None if tonal_ratio is None else round(tonal_ratio, 3),
        tags=tags,
        cover=cover,
        warnings=warnings,
    )


def scratch_bytes(probed: AudioProbe, *, options: EnhanceOptions, info: EnhancerInfo | None) -> int:
    """Upper estimate of the scratch space of a job in bytes, from the probe alone; 0 when the length is unknown.

    Counts the decoded signal, its copy at the engine's rate, the estimates, what the chain materialises in between
    (one signal for each stem, and one more while a step follows a step) and the encoded outputs, listening copies too,
    at four bytes a sample.
    """
    if probed.frames is None:
        return 0
    native = probed.frames * probed.channels * BYTES_PER_SAMPLE
    stems = len(info.stems) if info else 1
    model_rate = info.sample_rate if info else probed.sample_rate
    at_model_rate = math.ceil(native * model_rate / probed.sample_rate)
    encoded = native * (stems + options.residual) * (len(options.outputs) + options.listening)
    encoded += native * options.listening  # of the recording itself
    chained = native * (stems + (len(options.chain) > 1)) if options.chain else 0
    return native + at_model_rate * (1 + stems) + chained + encoded


def channel_groups(channels: int, engine_channels: int) -> tuple[tuple[int, ...], ...]:
    """The channels that go into each call of an engine, in order.

    A mono engine takes each channel alone. A stereo engine takes pairs; a channel without a partner is paired with
    itself: 1 -> ((0, 0),), 5 -> ((0, 1), (2, 3), (4, 4)).
    """
    starts = range(0, channels, engine_channels)
    return tuple(tuple(min(start + offset, channels - 1) for offset in range(engine_channels)) for start in starts)


def _decode(
    reader: IsolatedReader,
    *,
    workspace: Path,
    scratch: ExitStack,
    on_fraction: Callable[[float], None],
    max_duration_s: float,
) -> ScratchSignal:
    native = scratch.enter_context(
        ScratchSignal(workspace / "native.f32", channels=reader.channels, sample_rate=reader.sample_rate)
    )
    expected = reader.probe.frames or (reader.probe.duration_s or 0.0) * reader.sample_rate
    for block in reader.blocks():
        require_free_disk(workspace, _DISK_RESERVE_BYTES)
        native.append(block)
        if native.frames > max_duration_s * native.sample_rate:
            raise InputTooLarge(
                f"The recording is longer than its header says, and than the limit of {max_duration_s:.1f} s."
            )
        on_fraction(_DECODE_SHARE * min(native.frames / expected, 1.0) if expected > 0 else 0.0)
    if native.frames == 0:
        raise InvalidAudio("The file holds no audio samples.")
    return native


class _Meter(Protocol):
    def update(self, wav: FloatArray) -> None: ...


def _at_rate(
    native: ScratchSignal,
    sample_rate: int,
    *,
    workspace: Path,
    scratch: ExitStack,
    on_fraction: Callable[[float], None],
    meters: Sequence[_Meter],
) -> ScratchSignal:
    """`native` at `sample_rate`, itself where that is its own; all of it is shown to `meters`."""
    frames = expected_frames(native.frames, native.sample_rate, sample_rate)
    blocks = resample_stream(
        native.blocks(),
        native.sample_rate,
        output_rate=sample_rate,
        channels=native.channels,
        output_frames=frames,
    )
    model = native
    if sample_rate != native.sample_rate:
        model = scratch.enter_context(
            ScratchSignal(workspace / "model.f32", channels=native.channels, sample_rate=sample_rate)
        )
    done = 0
    for block in blocks:
        if model is not native:
            model.append(block)
        for meter in meters:
            meter.update(block)
        done += block.shape[1]
        on_fraction(_DECODE_SHARE + (1 - _DECODE_SHARE) * done / frames)
    return model


def select_group(wav: FloatArray, group: tuple[int, ...]) -> FloatArray:
    """The channels of one group, (len(group), T)."""
    return np.ascontiguousarray(wav[list(group)])
