"""The figures that a report gives of each signal, and what they say to the person who sent the recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.audio.loudness import LoudnessMeter
from core.audio.music import is_music
from core.audio.quality import QualityMeter
from core.audio.spectrogram import Spectrogram, SpectrogramMeter
from core.enhancement.protocol import FloatArray

MIN_CLIPPED_SAMPLES = 10
"""Fewer are a stray full-scale wave."""
NARROW_BAND_HZ = 5_000.0
"""Telephones end at 3.4 kHz, AM radio at 4.5 kHz; anything made to be listened to goes beyond."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A signal's figures as JSON, None for what silence or too short a signal does not have; and its spectrogram."""

    figures: dict[str, Any]
    spectrogram: Spectrogram


class SignalMeter:
    """Measures a stream for the report: feed blocks (C, T) of any size, `frames` in all, ask `result` at the end."""

    def __init__(self, sample_rate: int, channels: int, *, frames: int) -> None:
        self._loudness = LoudnessMeter(sample_rate, channels)
        self._quality = QualityMeter(sample_rate, channels)
        self._spectrogram = SpectrogramMeter(sample_rate, channels, frames=frames)

    def update(self, wav: FloatArray) -> None:
        """Take in `wav` (C, T)."""
        self._loudness.update(wav)
        self._quality.update(wav)
        self._spectrogram.update(wav)

    def result(self) -> Measured:
        """What was found; call once, after the last block."""
        loudness, quality, spectrogram = self._loudness.result(), self._quality.result(), self._spectrogram.result()
        figures = {
            "loudness_lufs": _rounded(loudness.integrated_lufs),
            "loudness_range_lu": _rounded(loudness.range_lu),
            "true_peak_dbtp": _rounded(loudness.true_peak_dbtp),
            "peak_dbfs": _rounded(quality.peak_dbfs),
            "rms_dbfs": _rounded(quality.rms_dbfs),
            "noise_floor_dbfs": _rounded(quality.noise_floor_dbfs),
            "snr_db": _rounded(quality.snr_db, 1),
            "bandwidth_hz": _rounded(spectrogram.bandwidth_hz, 0),
            "dc_offset": round(quality.dc_offset, 5),
            "clipped_samples": quality.clipped_samples,
            "clipped_runs": quality.clipped_runs,
        }
        return Measured(figures=figures, spectrogram=spectrogram)


def source_warnings(levels: dict[str, Any], *, sample_rate: int) -> tuple[str, ...]:
    """What the user should know of a recording with these figures of a SignalMeter: clipping, a narrow band."""
    warnings = []
    if levels["clipped_samples"] >= MIN_CLIPPED_SAMPLES:
        warnings.append(
            f"The recording is clipped in {levels['clipped_runs']} places ({levels['clipped_samples']} samples). "
            "What was cut off is not restored; a recording made at a lower level would be better."
        )
    bandwidth_hz = levels["bandwidth_hz"]
    if bandwidth_hz is not None and bandwidth_hz < NARROW_BAND_HZ and sample_rate / 2 > NARROW_BAND_HZ:
        warnings.append(
            f"The recording holds nothing above {bandwidth_hz / 1000:.1f} kHz, although its sample rate allows "
            f"{sample_rate / 2000:g} kHz: it seems to come from a telephone or another narrow-band source."
        )
    return tuple(warnings)


def music_warning(model: str, tonal_ratio: float | None) -> tuple[str, ...]:
    """What the user should know whose recording, with this result of a MusicMeter, goes to a model for speech."""
    if tonal_ratio is None or not is_music(tonal_ratio):
        return ()
    return (
        f"The recording sounds like music (steady tones in {tonal_ratio:.0%} of it). The model {model!r} is made for "
        "speech and may take music away as noise; presets like 'balanced' separate music into stems.",
    )


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)
