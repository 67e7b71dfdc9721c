"""Presets: versioned, named sets of options. Pure data; a change of what a preset does raises its version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.errors import UnknownPreset

DEFAULT_PRESET = "speech"

Precision = Literal["standard", "fast"]
"""`fast`: the network runs in bfloat16 throughout, where model and machine have it; docs/benchmarks.md has the cost."""

VOICE_CHAIN: tuple[Mapping[str, Any], ...] = (
    {"step": "high_pass"},
    {"step": "low_pass"},
    {"step": "spectral_subtraction"},
    {"step": "noise_gate"},
    {"step": "mud_cut"},
    {"step": "presence_boost"},
    {"step": "clarity_boost"},
    {"step": "peak_normalize"},
)
"""Steps 2..9 of the customer's post-processing pipeline, in order; each step's defaults are the customer's figures."""


ARCHIVE_CHAIN: tuple[Mapping[str, Any], ...] = ({"step": "hum_filter"}, {"step": "loudness_normalize"})
"""What broadcasters ask of a transfer: no hum, programme loudness by EBU R 128."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What `preset` means in a request. `shifts` and `overlap` only matter to htdemucs models."""

    name: str
    version: int
    title: str
    description: str
    model: str | None  # None: the DSP chain alone
    shifts: int = 0
    overlap: float = 0.25  # 0..0.75 of a segment
    chain: tuple[Mapping[str, Any], ...] = ()
    precision: Precision = "standard"
    subtype: str | None = None  # None: by the source (PCM_16, PCM_24 or FLOAT)
    pins_model: bool = False  # its stems are what it is for: the operator's DEMUCS_MODEL does not replace the model


_PRESETS = (
    Preset(
        name="speech",
        version=6,
        title="Speech",
        description="Removes noise from speech with the model that ships with Limpid. Fast on a CPU.",
        model="limpid-speech",
    ),
    Preset(
        name="speech-cnn",
        version=1,
        title="Speech, CNN mask",
        description="Removes noise from speech with the small convolutional mask, also bundled; slower and less able.",
        model="cnn-mask",
    ),
    Preset(
        name="speech-dns48",
        version=1,
        title="Speech, DNS48",
        description="Removes noise from speech with Demucs DNS48 (weights: CC BY-NC 4.0, pulled by the operator).",
        model="dns48",
    ),
    Preset(
        name="voice-chain",
        version=1,
        title="Voice chain",
        description="Demucs DNS48, then filters, spectral subtraction, gate, voice equalizer and peak normalization.",
        model="dns48",
        chain=VOICE_CHAIN,
    ),
    Preset(
        name="clean-only",
        version=1,
        title="Clean only",
        description="The voice chain without a model: classic signal processing alone.",
        model=None,
        chain=VOICE_CHAIN,
    ),
    Preset(
        name="studio",
        version=2,
        title="Studio-like speech",
        description="Speech at 16 kHz made anew as far as it was lost, by a small generator behind `limpid-speech`; "
        "where it departs from what was said, `limpid-speech` is heard, and the job's warnings say at which times.",
        model="limpid-studio",
        pins_model=True,
    ),
    Preset(
        name="studio-48k",
        version=1,
        title="Studio-like speech, 48 kHz",
        description="The same by FINALLY, at 48 kHz. Needs weights that the operator trains, WavLM-large, and a GPU.",
        model="finally-48k",
        pins_model=True,
    ),
    Preset(
        name="film",
        version=1,
        title="Film sound",
        description="Removes hiss, track noise, hum, crackle and clicks from old films and records of any content, "
        "at full band. A lower strength keeps more of their character.",
        model="limpid-film",
    ),
    Preset(
        name="archive",
        version=1,
        title="Archive transfer",
        description="As film sound, then mains hum notched out and the loudness brought to -23 LUFS (EBU R 128), "
        "true peak below -1 dBTP.",
        model="limpid-film",
        chain=ARCHIVE_CHAIN,
    ),
    Preset(
        name="gramophone",
        version=1,
        title="Gramophone records",
        description="Removes the surface noise of gramophone records with the weights of the two-stage U-Net's authors "
        "(MIT, pulled by the operator). Many times slower than film sound.",
        model="two-stage-unet",
    ),
    Preset(
        name="fast",
        version=1,
        title="Stems, fast",
        description="Splits a mix into vocals, drums, bass and the rest: htdemucs, no shifts, overlap 0.10, 16-bit.",
        model="htdemucs",
        shifts=0,
        overlap=0.10,
        subtype="PCM_16",
    ),
    Preset(
        name="balanced",
        version=1,
        title="Stems, balanced",
        description="The four stems of a mix by htdemucs, one shift, overlap 0.15, 16-bit.",
        model="htdemucs",
        shifts=1,
        overlap=0.15,
        subtype="PCM_16",
    ),
    Preset(
        name="high",
        version=1,
        title="Stems, high quality",
        description="The four stems of a mix by htdemucs_ft, two shifts, overlap 0.25, 32-bit float.",
        model="htdemucs_ft",
        shifts=2,
        overlap=0.25,
        subtype="FLOAT",
    ),
    Preset(
        name="maximum",
        version=1,
        title="Stems, maximum quality",
        description="The four stems of a mix by htdemucs_ft, four shifts, overlap 0.75, 32-bit float. About 58 times "
        "the work of the fast preset.",
        model="htdemucs_ft",
        shifts=4,
        overlap=0.75,
        subtype="FLOAT",
    ),
    Preset(
        name="stems-6",
        version=1,
        title="Six stems",
        description="Six stems of a mix by htdemucs_6s: guitar and piano beside drums, bass, other and vocals; "
        "32-bit float. The piano is weak.",
        model="htdemucs_6s",
        shifts=0,
        overlap=0.25,
        subtype="FLOAT",
        pins_model=True,
    ),
)

PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in _PRESETS}


def find_preset(name: str) -> Preset:
    """The preset of this name; UnknownPreset, listing all, when there is none."""
    try:
        return PRESETS[name]
    except KeyError:
        raise UnknownPreset(f"There is no preset {name!r}. Presets: {', '.join(PRESETS)}.") from None
