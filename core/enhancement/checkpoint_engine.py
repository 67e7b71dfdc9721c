"""What the engines of our own checkpoints share: what they say of themselves, their level, the input they take."""

from __future__ import annotations

from core.enhancement.protocol import EnhancerInfo, FloatArray, SegmentPlan, SignalStatistics
from core.models.checkpoints import CheckpointCard


def describe_checkpoint(card: CheckpointCard, *, segment: SegmentPlan, keeps_music: bool = False) -> EnhancerInfo:
    """Return what a mono denoiser of the checkpoint states about itself."""
    return EnhancerInfo(
        name=card.name,
        sample_rate=card.sample_rate,
        channels=1,
        stems=("enhanced",),
        segment=segment,
        weights_sha256=card.weights_sha256 or None,
        licence=card.licence,
        keeps_music=keeps_music,
    )


def gain_to_reference(statistics: SignalStatistics, level_db: float | None) -> float:
    """Return the gain that brings the whole recording to an RMS level of `level_db` dBFS.

    1 when the network takes any level (None) or the recording is silent. Being of the whole recording, the gain is the
    same in every segment.
    """
    if level_db is None or statistics.std <= 0:
        return 1.0
    return float(10 ** (level_db / 20) / statistics.std)


def check_mono_input(wav: FloatArray, sample_rate: int, info: EnhancerInfo) -> None:
    """Raise ValueError unless `wav` is (1, T) at the engine's rate."""
    if wav.ndim != 2 or wav.shape[0] != 1 or sample_rate != info.sample_rate:
        raise ValueError(f"{info.name} takes (1, T) at {info.sample_rate} Hz, got {wav.shape} at {sample_rate} Hz")
