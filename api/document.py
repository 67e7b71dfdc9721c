"""Writes the OpenAPI document to standard output, for tools that make clients of it: `python -m api.document`."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from api.main import create_app
from core.settings import Settings


def main() -> None:
    """The document of this very code; nothing is configured or reached."""
    with tempfile.TemporaryDirectory() as folder:
        document = create_app(Settings(data_dir=Path(folder))).openapi()
    json.dump(document, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
