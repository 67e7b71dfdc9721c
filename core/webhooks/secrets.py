"""The server's own webhook secrets: configured, or made by the embedded stack for itself."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from core.settings import Settings
from core.webhooks.signing import new_secret

FILE_NAME = "webhook-secret"


def can_sign(settings: Settings) -> bool:
    """True when the server has a secret: only then may an event go out without a secret of the client's own."""
    return bool(settings.webhook_secrets) or _is_embedded(settings)


def signing_secrets(settings: Settings) -> tuple[str, ...]:
    """The secrets that sign events, the current one first; empty when there is none.

    The embedded stack, whose processes share one data folder, keeps a random one there and makes it when first asked.
    """
    if settings.webhook_secrets or not _is_embedded(settings):
        return settings.webhook_secrets
    path = settings.data_dir.resolve() / FILE_NAME
    if not path.exists():
        _write_once(path, new_secret())
    return (path.read_text(encoding="ascii").strip(),)


def _is_embedded(settings: Settings) -> bool:
    return settings.database_url is None


def _write_once(path: Path, text: str) -> None:
    """Make the file, readable by its owner only; of processes that do so at once, the first one's text stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        try:
            os.link(file.name, path)
        except FileExistsError:
            return
