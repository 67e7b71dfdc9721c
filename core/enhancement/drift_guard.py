"""Keeps a generative engine to what was said: where its output drifts, that of a non-generative one is heard."""

from __future__ import annotations

import logging

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from core.audio.segments import Segment
from core.enhancement.drift import DriftLimits, find_drift
from core.enhancement.protocol import Enhancer, EnhancerInfo, FloatArray, ProgressCallback, SignalStatistics

logger = logging.getLogger(__name__)

CROSSFADE_S = 0.05
GENERATIVE_SHARE = 0.9  # of the progress; the fallback is the quick one
MAX_LISTED = 20


class DriftGuard:
    """A generative denoiser, watched window by window against `fallback`, a non-generative one; one job at a time.

    Both take one channel at the same rate (see ResampledEnhancer); ValueError otherwise. The fallback hears the
    segments of the generative engine. A window of its output that departs from the fallback's in envelope, level or
    pitch is replaced by the fallback's, cross-faded on both sides; `warnings` say where.
    """

    def __init__(self, generative: Enhancer, fallback: Enhancer, *, limits: DriftLimits | None = None) -> None:
        for engine in (generative, fallback):
            if not engine.info.is_denoiser or engine.info.channels != 1:
                raise ValueError(f"{engine.info.name} is no denoiser of one channel")
        if generative.info.sample_rate != fallback.info.sample_rate:
            raise ValueError(
                f"{generative.info.name} works at {generative.info.sample_rate} Hz, its fallback "
                f"{fallback.info.name} at {fallback.info.sample_rate} Hz"
            )
        self._generative = generative
        self._fallback = fallback
        self._limits = limits or DriftLimits()
        self._segment: Segment | None = None
        self._places: list[tuple[int, int]] = []

    @property
    def info(self) -> EnhancerInfo:
        """What the generative engine states about itself."""
        return self._generative.info

    @property
    def places_s(self) -> list[tuple[float, float]]:
        """Where the fallback is heard: starts and ends in seconds, in order, none touching another."""
        merged: list[tuple[int, int]] = []
        for start, stop in sorted(self._places):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
            else:
                merged.append((start, stop))
        return [(start / self.info.sample_rate, stop / self.info.sample_rate) for start, stop in merged]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know: where the generative output was not trusted, () when all of it was."""
        places = self.places_s
        if not places:
            return ()
        listed = ", ".join(f"{_clock(start)} to {_clock(stop)}" for start, stop in places[:MAX_LISTED])
        more = f" and {len(places) - MAX_LISTED} more" if len(places) > MAX_LISTED else ""
        return (
            f"The model {self.info.name!r} departed from what was said at {listed}{more}; "
            f"there the enhancement by {self._fallback.info.name!r} is heard instead.",
        )

    def begin_recording(self) -> None:
        """Forget the places of the recording before."""
        self._segment = None
        self._places = []

    def begin_segment(self, segment: Segment) -> None:
        """Say which segment of the recording the next calls of `enhance` are of; places count from 0 otherwise."""
        self._segment = segment

    def enhance(
        self,
        wav: FloatArray,
        sample_rate: int,
        *,
        statistics: SignalStatistics,
        seed: int = 0,
        on_progress: ProgressCallback | None = None,
    ) -> FloatArray:
        """Return the generative estimate (1, 1, T) of `wav` (1, T), the fallback's where it drifts."""

        def report_generative(fraction: float) -> None:
            if on_progress is not None:
                on_progress(GENERATIVE_SHARE * fraction)

        estimate = self._generative.enhance(
            wav, sample_rate, statistics=statistics, seed=seed, on_progress=report_generative
        )
        safe = self._fallback.enhance(wav, sample_rate, statistics=statistics, seed=seed)
        drifted = find_drift(estimate[0, 0], safe[0, 0], sample_rate, peak=statistics.peak, limits=self._limits)
        if drifted:
            self._note(drifted, total=wav.shape[-1])
            weights = fallback_weights(drifted, wav.shape[-1], fade_samples=round(CROSSFADE_S * sample_rate))
            # Not a plain weighted sum: what is not a number would stay so under a weight of 0.
            trusted = np.where(weights < 1, np.nan_to_num(estimate), 0)
            estimate = (weights * safe + (1 - weights) * trusted).astype(np.float32)
        if on_progress is not None:
            on_progress(1.0)
        return estimate

    def _note(self, drifted: list[tuple[int, int]], *, total: int) -> None:
        """Remember the places as they lie in the recording, without what is dropped of the segment."""
        segment = self._segment
        offset = segment.read_start if segment else 0
        first, last = (segment.start, segment.stop) if segment else (0, total)
        places = [(max(start + offset, first), min(stop + offset, last)) for start, stop in drifted]
        self._places += [(start, stop) for start, stop in places if start < stop]
        logger.info("generative_output_drifted", extra={"model": self.info.name, "windows": len(drifted)})


def fallback_weights(drifted: list[tuple[int, int]], length: int, *, fade_samples: int) -> FloatArray:
    """Return weights (T,): 1 in the stretches [start, stop), falling to 0 over `fade_samples` outside them."""
    mask = np.zeros(length, dtype=np.float32)
    for start, stop in drifted:
        mask[start:stop] = 1
    size = 2 * (fade_samples // 2) + 1
    widened = maximum_filter1d(mask, size, mode="nearest")
    weights: FloatArray = np.clip(uniform_filter1d(widened, size, mode="nearest"), 0, 1)
    return weights


def _clock(time_s: float) -> str:
    """Return minutes and seconds, such as 1:02.5."""
    tenths = round(time_s * 10)
    return f"{tenths // 600}:{tenths % 600 // 10:02d}.{tenths % 10}"
