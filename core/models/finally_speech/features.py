"""What FINALLY's generator hears beside the spectrogram: WavLM's last hidden states, or log-mel frames."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from core.errors import ModelUnavailable
from core.models.finally_speech.mel import MEL_BANDS, LogMel

if TYPE_CHECKING:
    from transformers import WavLMModel

WAVLM_FOLDER = "wavlm-large"
"""Below the models folder: config.json and model.safetensors of the hub's microsoft/wavlm-large."""
WAVLM_WINDOW_SAMPLES = 400  # the reach of one frame: a shorter wave has none


class MelFeatures(nn.Module):
    """Log-mel frames (B, 80, T / 256) of waves whose length is a multiple of 256: features without any model."""

    width = MEL_BANDS

    def __init__(self) -> None:
        super().__init__()
        self.log_mel = LogMel()

    def forward(self, wav: Tensor) -> Tensor:
        frames: Tensor = self.log_mel(wav)
        return frames


class WavLmFeatures(nn.Module):
    """WavLM's last hidden states (B, width, frames) at 50 Hz; frozen.

    The wave is not brought to zero mean and unit variance, although the hub's preprocessor asks for it: generators
    were trained without.
    """

    def __init__(self, model: WavLMModel) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.width: int = model.config.hidden_size

    @torch.no_grad()
    def forward(self, wav: Tensor) -> Tensor:
        missing = max(WAVLM_WINDOW_SAMPLES - wav.shape[-1], 0)
        states: Tensor = self.model(nn.functional.pad(wav, (0, missing))).last_hidden_state
        return states.transpose(1, 2)


def load_features(models_dir: Path) -> WavLmFeatures:
    """Return WavLM-large from its folder in the models folder; nothing is fetched, nothing in the files gets to run.

    ModelUnavailable when the folder or the package `transformers` is missing, or the files are no WavLM.
    """
    if find_spec("transformers") is None:
        raise ModelUnavailable("FINALLY needs the package transformers: install limpid with the extra `finally`")
    folder = models_dir / WAVLM_FOLDER
    if not (folder / "config.json").is_file():
        raise ModelUnavailable(
            f"FINALLY needs WavLM: put config.json and model.safetensors of microsoft/wavlm-large into the folder "
            f"{WAVLM_FOLDER!r} of the models folder"
        )
    from transformers import WavLMModel

    try:
        model = WavLMModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelUnavailable(f"The files of {WAVLM_FOLDER!r} are no WavLM ({type(error).__name__})") from error
    return WavLmFeatures(model)
