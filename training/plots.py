"""Pictures of a run: its curves, and spectrograms before and after. Written as PNG without a display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.signal import stft

SMOOTHING_STEPS = 20
DYNAMIC_RANGE_DB = 80.0


def save_curves(
    path: Path,
    *,
    steps: Sequence[Mapping[str, float]],
    validations: Sequence[Mapping[str, float]],
    measures: tuple[str, str],
) -> None:
    """Write training and validation loss over steps, and two of the validation's measures beside it.

    Validations that lack a measure leave a gap in its curve.
    """
    figure = Figure(figsize=(11, 4), layout="constrained")
    FigureCanvasAgg(figure)
    losses, left = figure.subplots(1, 2)
    if steps:
        values = np.array([row["loss"] for row in steps])
        losses.plot([row["step"] for row in steps], values, alpha=0.25, color="C0")
        kernel = np.ones(min(SMOOTHING_STEPS, len(values)))
        smooth = np.convolve(values, kernel / kernel.sum(), mode="valid")
        losses.plot([row["step"] for row in steps][len(values) - len(smooth) :], smooth, color="C0", label="training")
    at = [row["step"] for row in validations]
    losses.plot(at, [row["loss"] for row in validations], "o-", color="C1", label="validation")
    losses.set(xlabel="step", ylabel="loss", title="Loss")
    losses.legend()
    left.set(xlabel="step", title="Validation")
    lines = []
    sides = ((left, "left", "oC2-"), (left.twinx(), "right", "sC3-"))
    for measure, (axes, side, style) in zip(measures, sides, strict=True):
        lines += axes.plot(at, [row.get(measure, np.nan) for row in validations], style, label=f"{measure} ({side})")
        axes.set(ylabel=measure)
    axes.legend(handles=lines)
    figure.savefig(path, dpi=110)


def save_spectrograms(path: Path, signals: Mapping[str, NDArray[np.float32]], *, sample_rate: int) -> None:
    """Write the spectrograms of the named signals (T,) side by side, on one scale of 80 dB."""
    figure = Figure(figsize=(4.2 * len(signals), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(signals), sharey=True, squeeze=False)[0]
    pictures = {}
    for name, wav in signals.items():
        _, _, spectrogram = stft(wav, sample_rate, nperseg=512, noverlap=384)
        pictures[name] = 20 * np.log10(np.maximum(np.abs(spectrogram), 1e-9))
    top = max(float(picture.max()) for picture in pictures.values())
    for panel, (name, picture) in zip(panels, pictures.items(), strict=True):
        image = panel.imshow(
            picture, origin="lower", aspect="auto", vmin=top - DYNAMIC_RANGE_DB, vmax=top,
            extent=(0, len(signals[name]) / sample_rate, 0, sample_rate / 2000), cmap="magma",
        )  # fmt: skip
        panel.set(title=name, xlabel="s")
    panels[0].set(ylabel="kHz")
    figure.colorbar(image, ax=panels, label="dB")
    figure.savefig(path, dpi=110)
