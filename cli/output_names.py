"""What `limpid enhance` calls its files in a folder: by role, and for film sound by strength as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.options import EnhanceOptions

FILM_ROLES = {"enhanced": "denoised", "residual": "residual"}


def name_output(name: str, *, role: str, options: EnhanceOptions) -> str:
    """Return the name of an output that the pipeline calls `name`.

    Outputs of a two-stage U-Net are named as its film adaptation names them, by strength in tenths, so that runs at
    several strengths stand side by side: `reel.enhanced.wav` at 0.5 becomes `reel_denoised_s5.wav`, at 0.25
    `reel_denoised_s2.5.wav`, and the residual `reel_residual_s5.wav`. Others keep their names.
    """
    from core.model_catalogue import Architecture, find_model

    is_film = options.model is not None and find_model(options.model).architecture is Architecture.TWO_STAGE_UNET
    base, mark, rest = name.rpartition(f".{role}.")
    if not is_film or role not in FILM_ROLES or not mark:
        return name
    return f"{base}_{FILM_ROLES[role]}_s{10 * options.strength:g}.{rest}"
