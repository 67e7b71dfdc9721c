"""`limpid enhance` on generated files, with the preset that needs no model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from cli.main import app
from cli.overrides import parse_overrides
from core.models.precision import has_fast_bfloat16

SAMPLE_RATE = 16_000
FRAMES = 16_001
PICTURES = [
    f"{subject}.{what}"
    for subject in ("before", "enhanced")
    for what in ("waveform.png", "spectrogram.png", "peaks.json")
]


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    path = tmp_path / "talk.wav"
    noise = np.random.default_rng(0).normal(scale=0.05, size=(FRAMES, 2))
    soundfile.write(path, noise, SAMPLE_RATE, subtype="PCM_24")
    return path


def enhance(*arguments: str | Path) -> Any:  # noqa: ANN401 - typer's Result is not exported
    return CliRunner().invoke(app, ["enhance", "--preset", "clean-only", *map(str, arguments)])


def test_result_has_the_input_s_length_rate_channels_and_depth(noisy: Path, tmp_path: Path) -> None:
    result = enhance(noisy, "-o", tmp_path / "out.wav")

    info = soundfile.info(tmp_path / "out.wav")
    assert result.exit_code == 0, result.stderr
    assert (info.frames, info.samplerate, info.channels, info.subtype) == (FRAMES, SAMPLE_RATE, 2, "PCM_24")


def test_format_follows_the_name_and_subtype_the_option(noisy: Path, tmp_path: Path) -> None:
    result = enhance(noisy, "-o", tmp_path / "out.flac", "--subtype", "PCM_16")

    info = soundfile.info(tmp_path / "out.flac")
    assert result.exit_code == 0, result.stderr
    assert (info.format, info.subtype) == ("FLAC", "PCM_16")


def test_output_and_residual_add_up_to_the_input(noisy: Path, tmp_path: Path) -> None:
    result = enhance(noisy, "-o", tmp_path / "out.wav", "--residual", "--subtype", "FLOAT")

    parts = [soundfile.read(tmp_path / name)[0] for name in ("out.wav", "out.residual.wav")]
    assert result.exit_code == 0, result.stderr
    np.testing.assert_allclose(sum(parts), soundfile.read(noisy)[0], atol=2e-7)


def test_fast_precision_is_had_where_the_machine_has_it(noisy: Path, tmp_path: Path) -> None:
    arguments = [str(noisy), "-o", str(tmp_path / "out.wav"), "--precision", "fast", "--json"]

    result = CliRunner().invoke(app, ["enhance", "--preset", "speech", *arguments])

    (told,) = json.loads(result.stdout)
    assert told["report"]["model"]["precision"] == ("fast" if has_fast_bfloat16("cpu") else "standard")


def test_several_inputs_go_into_a_folder_and_json_tells_where(noisy: Path, tmp_path: Path) -> None:
    other = tmp_path / "song.wav"
    other.write_bytes(noisy.read_bytes())

    result = enhance(noisy, other, "-o", f"{tmp_path}/results/", "--json")

    outputs = [Path(path) for row in json.loads(result.stdout) for path in row["outputs"]]
    assert result.exit_code == 0, result.stderr
    assert [path.name for path in outputs] == ["talk.enhanced.wav", "song.enhanced.wav"]
    assert all(path.parent == tmp_path / "results" and path.is_file() for path in outputs)


def test_file_that_fails_is_named_and_the_others_are_still_done(noisy: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no audio at all, only words. " * 10, encoding="utf-8")

    result = enhance(text, noisy, "-o", f"{tmp_path}/results/")

    assert result.exit_code == 1
    assert f"limpid: {text}: " in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["talk.enhanced.wav"]


def test_input_is_never_overwritten(noisy: Path) -> None:
    before = noisy.read_bytes()

    result = enhance(noisy, "-o", noisy)

    assert result.exit_code == 1
    assert "will not be overwritten" in result.stderr
    assert noisy.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "sparkle"], "sparkle"),
        (["--format", "xyz"], "xyz"),
        (["--subtype", "PCM_8"], "PCM_8"),
        (["--precision", "int8"], "int8"),
        (["--set", "overlap=0.9"], "overlap = 0.9"),
        (["--set", "shifts=many"], "shifts = 'many'"),
        (["--set", "loudness=1"], "Unknown override 'loudness'"),
        (["--set", "model=htdemucs"], "Unknown override 'model'"),
        (["--preset", "fast", "--set", "stems=voice"], "unknown: voice"),
        (["--preset", "fast", "--set", "stems=vocals,vocals"], "each may be named once"),
        (["--preset", "speech", "--set", "stems=vocals"], "Stems of limpid-speech: enhanced"),
        (["--set", "bandwidth"], "--set bandwidth: an override has the form KEY=VALUE"),
        (["--set", "=1"], "KEY=VALUE"),
    ],
)
def test_unknown_choices_are_refused_before_any_work(
    noisy: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = enhance(noisy, "-o", f"{tmp_path}/results/", *arguments)

    assert result.exit_code == 1
    assert message in result.stderr
    assert not (tmp_path / "results").exists()


def test_overrides_that_have_no_option_of_their_own_can_be_set(noisy: Path, tmp_path: Path) -> None:
    settings = ("--set", 'chain=[{"step": "peak_normalize", "peak": 0.5}]', "--set", "pictures=true")

    result = enhance(noisy, "-o", tmp_path / "out.wav", *settings)

    pictures = {f"talk.{what}" for what in PICTURES}
    assert result.exit_code == 0, result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"talk.wav", "out.wav", *pictures}
    assert np.abs(soundfile.read(tmp_path / "out.wav")[0]).max() == pytest.approx(0.5, abs=1e-4)


def test_what_is_set_comes_before_the_options_and_the_last_of_one_key_counts(noisy: Path, tmp_path: Path) -> None:
    settings = ("--strength", "1", "--set", "strength=0.5", "--set", "strength=0")

    result = enhance(noisy, "-o", tmp_path / "out.wav", *settings, "--set", "chain=[]")

    assert result.exit_code == 0, result.stderr
    np.testing.assert_array_equal(soundfile.read(tmp_path / "out.wav")[0], soundfile.read(noisy)[0])


@pytest.mark.parametrize(
    ("setting", "overrides"),
    [
        ("stems=vocals", {"stems": ["vocals"]}),
        ("stems=drums,bass", {"stems": ["drums", "bass"]}),
        ('stems=["drums"]', {"stems": ["drums"]}),
        ("shifts=2", {"shifts": 2}),
        ("bandwidth=model", {"bandwidth": "model"}),
        ("residual=true", {"residual": True}),
        ('chain=[{"step": "low_pass"}]', {"chain": [{"step": "low_pass"}]}),
    ],
)
def test_value_is_json_or_a_word(setting: str, overrides: dict[str, Any]) -> None:
    assert parse_overrides([setting]) == overrides


def test_missing_input_is_named(tmp_path: Path) -> None:
    result = enhance(tmp_path / "gone.wav", "-o", f"{tmp_path}/results/")

    assert result.exit_code == 1
    assert "gone.wav: No such file" in result.stderr


def test_report_compares_with_a_clean_reference(noisy: Path, tmp_path: Path) -> None:
    result = enhance(noisy, "-o", tmp_path / "out.wav", "--reference", noisy, "--json")

    (told,) = json.loads(result.stdout)
    assert result.exit_code == 0, result.stderr
    assert told["report"]["reference"]["after"]["si_sdr_db"] is not None


def test_one_reference_of_several_recordings_is_refused(noisy: Path, tmp_path: Path) -> None:
    result = enhance(noisy, noisy, "-o", f"{tmp_path}/results/", "--reference", noisy)

    assert result.exit_code != 0
    assert not (tmp_path / "results").exists()


def test_film_results_are_named_by_strength_and_add_up_to_the_input(noisy: Path, tmp_path: Path) -> None:
    arguments = ["--preset", "film", "--strength", "0.5", "--residual", "--subtype", "FLOAT"]

    result = enhance(noisy, *arguments, "-o", f"{tmp_path}/out/")

    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert result.exit_code == 0, result.stderr
    assert written == ["talk_denoised_s5.wav", "talk_residual_s5.wav"]
    parts = [soundfile.read(tmp_path / "out" / name)[0] for name in written]
    np.testing.assert_allclose(sum(parts), soundfile.read(noisy)[0], atol=2e-7)
