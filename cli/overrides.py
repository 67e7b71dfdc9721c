"""`--set KEY=VALUE` of `limpid enhance`: any override that the REST API takes, by the same rules."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from cli.errors import CommandError

WORD_LISTS = frozenset({"stems"})
"""Lists of plain words, which may be given as such: `stems=drums,bass`."""


def parse_overrides(settings: Sequence[str]) -> dict[str, Any]:
    """Return the overrides that `settings` name, each KEY=VALUE; the last of one key counts.

    VALUE is JSON, or else a word; what it may be is for `core.options` to say. CommandError where KEY or = is missing.
    """
    overrides: dict[str, Any] = {}
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator or not key:
            raise CommandError(f"--set {setting}: an override has the form KEY=VALUE.")
        overrides[key] = _read_value(key, text)
    return overrides


def _read_value(key: str, text: str) -> Any:  # noqa: ANN401 - JSON is any of seven types
    try:
        return json.loads(text)
    except ValueError:
        return text.split(",") if key in WORD_LISTS else text
