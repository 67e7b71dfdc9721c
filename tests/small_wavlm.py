"""A random WavLM of WavLM-large's structure in small, in a models folder as `transformers` writes it."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import WavLMConfig, WavLMModel

from core.models.finally_speech.features import WAVLM_FOLDER

WIDTH = 16


def save_small_wavlm(models_dir: Path, *, layers: int) -> WavLMModel:
    """Write the model below `models_dir` and return it; the same weights for the same number of layers."""
    torch.manual_seed(0)
    config = WavLMConfig(
        hidden_size=WIDTH,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        do_stable_layer_norm=True,
        feat_extract_norm="layer",
    )
    model: WavLMModel = WavLMModel(config).eval()
    model.save_pretrained(models_dir / WAVLM_FOLDER)
    return model
