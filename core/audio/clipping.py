"""Finding where a recording was clipped: flat tops near full scale."""

from __future__ import annotations

import numpy as np

from core.audio.types import FloatArray

MIN_RUN_SAMPLES = 3
"""Two equal samples are a matter of course at the top of a slow wave; three near full scale are hardly ever."""
NEAR_FULL_SCALE = 0.98
"""-0.18 dBFS: converters and editors that clip do it here or above."""


class ClippingMeter:
    """Counts runs of at least `MIN_RUN_SAMPLES` equal samples near full scale; feed blocks (C, T) of any size.

    Exact for what was stored without loss. A lossy codec rounds the flat tops off and so hides the clipping, and what
    was turned down after it clipped is not found either.
    """

    def __init__(self, channels: int) -> None:
        self._last = np.zeros(channels, np.float32)
        self._run = np.zeros(channels, np.int64)  # length of the run that each channel's last sample is in
        self.runs = 0
        self.samples = 0

    def update(self, wav: FloatArray, *, peak: float) -> None:
        """Take in `wav` (C, T), whose largest magnitude is `peak`.

        `runs` and `samples` count at once, so a run that goes on is counted to its end.
        """
        if wav.shape[-1] == 0:
            return
        if peak < NEAR_FULL_SCALE:
            self._run[:] = 0
            self._last = wav[:, -1].copy()
            return
        for channel, samples in enumerate(wav):
            self._update_channel(channel, samples)
        self._last = wav[:, -1].copy()

    def _update_channel(self, channel: int, samples: FloatArray) -> None:
        joined = np.concatenate([self._last[channel : channel + 1], samples])
        is_high = np.abs(joined) >= NEAR_FULL_SCALE
        goes_on = is_high[1:] & (joined[1:] == joined[:-1])
        # Every sample that begins a run or stands alone ends the run before it.
        starts = np.flatnonzero(~goes_on)
        edges = np.concatenate([[0], starts, [len(samples)]])
        lengths = np.diff(edges)
        is_run = np.concatenate([[self._run[channel] > 0], is_high[1:][starts]])
        before = np.zeros_like(lengths)
        before[0] = self._run[channel]
        whole = lengths + before
        clipped = is_run & (whole >= MIN_RUN_SAMPLES)
        is_known = before >= MIN_RUN_SAMPLES
        self.runs += int(np.count_nonzero(clipped & ~is_known))
        self.samples += int(np.where(is_known, lengths, whole)[clipped].sum())
        self._run[channel] = whole[-1] if is_run[-1] else 0
