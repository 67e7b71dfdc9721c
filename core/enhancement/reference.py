"""A clean reference of the recording: read beside it, and what comes out compared with it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from core.audio.intelligibility import IntelligibilityMeter
from core.audio.isolated_reader import IsolatedReader
from core.audio.resample import resample_stream
from core.audio.si_sdr import SiSdrMeter
from core.enhancement.protocol import FloatArray
from core.enhancement.scratch import BYTES_PER_SAMPLE, ScratchSignal, require_free_disk
from core.errors import InvalidAudio

LENGTH_TOLERANCE_S = 0.1
"""Encoders pad: by so much the lengths may differ. The starts must be the same."""


def prepare_reference(source: Path, native: ScratchSignal, *, workspace: Path, scratch: ExitStack) -> ScratchSignal:
    """Decode the reference into a signal like `native`, the recording: its rate, channels and length.

    A mono reference stands for every channel; one with more channels is mixed down for a mono recording. InvalidAudio
    when the channels cannot be matched or the length is another; UnsupportedMedia or InvalidAudio when it cannot be
    decoded; InsufficientDisk.
    """
    require_free_disk(workspace, native.frames * native.channels * BYTES_PER_SAMPLE)
    with IsolatedReader(source, name="the reference") as reader:
        if reader.channels != native.channels and 1 not in (reader.channels, native.channels):
            raise InvalidAudio(f"The reference has {reader.channels} channels, and the recording {native.channels}.")
        decoded = scratch.enter_context(
            ScratchSignal(workspace / "reference.decoded.f32", channels=native.channels, sample_rate=reader.sample_rate)
        )
        for block in reader.blocks():
            decoded.append(_matched(block, native.channels))
    duration_s = decoded.frames / decoded.sample_rate
    native_s = native.frames / native.sample_rate
    if abs(duration_s - native_s) > LENGTH_TOLERANCE_S:
        raise InvalidAudio(
            f"The reference lasts {duration_s:.2f} s, and the recording {native_s:.2f} s. They may differ by "
            f"{LENGTH_TOLERANCE_S:g} s."
        )
    signal = scratch.enter_context(
        ScratchSignal(workspace / "reference.f32", channels=native.channels, sample_rate=native.sample_rate)
    )
    for block in resample_stream(
        decoded.blocks(),
        decoded.sample_rate,
        output_rate=native.sample_rate,
        channels=native.channels,
        output_frames=native.frames,
    ):
        signal.append(block)
    decoded.close()
    return signal


class ReferenceMeter:
    """Compares the recording before and after with its reference: feed aligned blocks (C, T), ask `result` once."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._si_sdr = {subject: SiSdrMeter(channels) for subject in ("before", "after")}
        self._intelligibility = IntelligibilityMeter(sample_rate, len(self._si_sdr))

    def update(self, reference: FloatArray, *, before: FloatArray, after: FloatArray) -> None:
        """Take in blocks (C, T) of the same shape."""
        for meter, wav in zip(self._si_sdr.values(), (before, after), strict=True):
            meter.update(wav, reference)
        self._intelligibility.update(reference, (before, after))

    def result(self) -> dict[str, Any]:
        """The figures as JSON; None where there is none: silence, a perfect copy, a package that is not installed."""
        figures: dict[str, Any] = {}
        for (subject, meter), measures in zip(self._si_sdr.items(), self._intelligibility.result(), strict=True):
            si_sdr_db = meter.result()
            is_finite = si_sdr_db is not None and np.isfinite(si_sdr_db)
            figures[subject] = {
                "si_sdr_db": round(si_sdr_db, 2) if si_sdr_db is not None and is_finite else None,
                **{name: None if value is None else round(value, 3) for name, value in measures.items()},
            }
        return {**figures, "compared_s": round(self._intelligibility.compared_s, 2)}


def _matched(wav: FloatArray, channels: int) -> FloatArray:
    if wav.shape[0] == channels:
        return wav
    if channels == 1:
        mono: FloatArray = wav.mean(axis=0, keepdims=True, dtype=np.float32)
        return mono
    return np.repeat(wav, channels, axis=0)
