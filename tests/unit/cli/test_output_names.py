"""File names of results: brief e's for film sound, by role for everything else."""

from __future__ import annotations

import pytest

from cli.output_names import name_output
from core.options import resolve_options


@pytest.mark.parametrize(
    ("strength", "name", "role", "expected"),
    [
        (0.5, "your_audio.enhanced.wav", "enhanced", "your_audio_denoised_s5.wav"),
        (0.5, "your_audio.residual.wav", "residual", "your_audio_residual_s5.wav"),
        (1.0, "reel.enhanced.flac", "enhanced", "reel_denoised_s10.flac"),
        (0.3, "reel.enhanced.wav", "enhanced", "reel_denoised_s3.wav"),  # 10 * 0.3 is not 3 in binary
        (0.25, "reel.enhanced.wav", "enhanced", "reel_denoised_s2.5.wav"),
        (0.0, "reel.enhanced.2.wav", "enhanced", "reel_denoised_s0.2.wav"),
        (1.0, "a.enhanced.b.enhanced.wav", "enhanced", "a.enhanced.b_denoised_s10.wav"),
    ],
)
def test_film_outputs_carry_their_strength(strength: float, name: str, role: str, expected: str) -> None:
    options = resolve_options("film", {"strength": strength})

    assert name_output(name, role=role, options=options) == expected


@pytest.mark.parametrize("preset", ["speech", "clean-only", "balanced"])
def test_other_outputs_keep_their_names(preset: str) -> None:
    options = resolve_options(preset, {"strength": 0.5})

    assert name_output("talk.enhanced.wav", role="enhanced", options=options) == "talk.enhanced.wav"
