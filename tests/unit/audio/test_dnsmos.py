"""Which pieces of a signal DNSMOS hears, and what becomes of its scores; the network itself is a stand-in."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from core.audio.dnsmos import MAX_PIECES, NAMES, PIECE_FRAMES, SAMPLE_RATE, DnsmosMeter
from core.audio.types import FloatArray


class Listener:
    """Remembers what it heard; its scores are the first sample, times 1, 2, 3 and 4."""

    def __init__(self) -> None:
        self.pieces: list[FloatArray] = []

    def __call__(self, wav: FloatArray) -> Mapping[str, float]:
        self.pieces.append(wav.copy())
        return {theirs: float(wav[0]) * number for number, theirs in enumerate(NAMES.values(), start=1)}


def hear(wav: FloatArray, *, block_frames: int = 10_000) -> tuple[Listener, dict[str, float] | None]:
    listener = Listener()
    meter = DnsmosMeter(SAMPLE_RATE, frames=wav.shape[1], predict=listener)
    for start in range(0, wav.shape[1], block_frames):
        meter.update(wav[:, start : start + block_frames])
    return listener, meter.result()


def ramp(frames: int) -> FloatArray:
    """Tells by a sample's value where it lies, 0.5 to 1."""
    return (0.5 + 0.5 * np.arange(frames, dtype=np.float32) / frames)[np.newaxis]


@pytest.mark.parametrize(("pieces", "frames"), [(1, 1.0), (1, 1.9), (2, 2.0), (5, 5.5), (6, 6.0), (6, 40.0)])
def test_pieces_are_whole_and_evenly_spread(pieces: int, frames: float) -> None:
    wav = ramp(round(frames * PIECE_FRAMES))

    listener, scores = hear(wav)

    starts = [2 * (float(piece[0]) - 0.5) * wav.shape[1] for piece in listener.pieces]
    expected = np.linspace(0, wav.shape[1] - PIECE_FRAMES, pieces) if pieces > 1 else [0.0]
    assert pieces <= MAX_PIECES
    assert starts == pytest.approx(expected, abs=2)
    assert {piece.size for piece in listener.pieces} == {PIECE_FRAMES}
    assert scores is not None
    assert list(scores) == ["overall", "signal", "background", "p808"]


def test_scores_are_means_over_the_pieces() -> None:
    wav = ramp(2 * PIECE_FRAMES)

    _, scores = hear(wav)

    assert scores == {"overall": 0.62, "signal": 1.25, "background": 1.88, "p808": 2.5}


def test_short_signal_is_heard_whole() -> None:
    listener, scores = hear(ramp(1000))

    assert [piece.size for piece in listener.pieces] == [1000]
    assert scores is not None


def test_silence_has_no_score() -> None:
    assert hear(np.zeros((2, 2 * PIECE_FRAMES), np.float32))[1] is None


def test_what_is_beyond_full_scale_is_clipped_because_the_package_refuses_it() -> None:
    listener, _ = hear(np.full((1, 2000), 3.0, np.float32))

    assert float(np.abs(listener.pieces[0]).max()) == 1.0


def test_blocks_of_any_size_give_the_same_pieces() -> None:
    wav = ramp(3 * PIECE_FRAMES + 17)

    small, large = hear(wav, block_frames=997)[0], hear(wav, block_frames=10**6)[0]

    assert all(np.array_equal(*pair) for pair in zip(small.pieces, large.pieces, strict=True))


def test_another_rate_is_converted_and_channels_are_mixed_down() -> None:
    listener = Listener()
    meter = DnsmosMeter(48_000, frames=3 * PIECE_FRAMES, predict=listener)
    meter.update(np.stack([np.ones(3 * PIECE_FRAMES), np.zeros(3 * PIECE_FRAMES)]).astype(np.float32))

    assert meter.result() is not None
    assert listener.pieces[0].size == PIECE_FRAMES
    assert float(listener.pieces[0][PIECE_FRAMES // 2]) == pytest.approx(0.5, abs=1e-3)
