"""The options of a recording's job: its own file's, else its folder's, else the watcher's, setting by setting."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import InvalidOptions

MAX_OPTIONS_BYTES = 64 * 1024
"""As much as the API takes."""


def read_options(path: Path) -> Mapping[str, Any]:
    """The JSON object in the file; InvalidOptions when it holds none. What the settings mean, the server checks."""
    if path.stat().st_size > MAX_OPTIONS_BYTES:
        raise InvalidOptions(f"{path.name} is larger than the limit of {MAX_OPTIONS_BYTES} bytes.")
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidOptions(f"{path.name} is not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidOptions(f"{path.name} must hold a JSON object.")
    return value


def merged_options(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """The layers' top-level settings; those of a later layer replace the earlier ones' as a whole."""
    return {name: value for layer in layers for name, value in layer.items()}
