"""The settings of a command, or one line that says which variable is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cli.errors import CommandError

if TYPE_CHECKING:
    from core.settings import Settings


def load_settings(data_dir: Path | None = None) -> Settings:
    """Settings of the environment, over `data_dir` when it is given; CommandError when a variable cannot be used.

    Values are not repeated in the message: some of them are secrets.
    """
    from pydantic import ValidationError

    from core.settings import Settings, variable_of

    try:
        return Settings() if data_dir is None else Settings(data_dir=data_dir)
    except ValidationError as error:
        problems = [f"{variable_of('_'.join(map(str, item['loc'])))}: {item['msg']}" for item in error.errors()]
        raise CommandError(f"The configuration cannot be used. {'; '.join(problems)}.") from None
    except OSError as error:
        raise CommandError(f"A secret cannot be read from {error.filename}: {error.strerror}.") from None
