"""Where results of `limpid enhance` go, and the refusal to let them destroy an input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.errors import CommandError
from core.jobs import ReportRole

_REPORT_ROLES = frozenset(ReportRole)


@dataclass(frozen=True, kw_only=True)
class Destination:
    """A folder for any number of results, or the one file that the result is to become."""

    folder: Path
    file: Path | None = None

    def path_for(self, name: str, *, role: str, main_role: str) -> Path:
        """Where the output `name` of `role` goes.

        With a file as destination the main role becomes that file; any other lies beside it, its role in its name.
        Pictures and the like, of which a role has several, keep their names.
        """
        if self.file is None or role in _REPORT_ROLES:
            return self.folder / name
        if role == main_role:
            return self.file
        return self.folder / f"{self.file.stem}.{role}{self.file.suffix}"


def plan_destination(output: str, sources: Sequence[Path]) -> Destination:
    """Read `-o`: a folder when it is one, ends in a slash, has no suffix or is for several sources; else a file.

    CommandError when the results would fall on each other or on an input.
    """
    path = Path(output)
    if path.is_dir() or output.endswith("/") or not path.suffix or len(sources) > 1:
        if path.exists() and not path.is_dir():
            raise CommandError(f"{len(sources)} files cannot all become {path}; -o must be a folder.")
        _refuse_equal_names(sources)
        return Destination(folder=path)
    refuse_overwriting(path, sources)
    return Destination(folder=path.parent, file=path)


def refuse_overwriting(target: Path, sources: Sequence[Path]) -> None:
    """Raise CommandError when writing `target` would destroy one of the inputs, under whatever name."""
    for source in sources:
        if target.exists() and source.exists() and target.samefile(source):
            raise CommandError(f"{target} is an input; it will not be overwritten. Choose another -o.")


def _refuse_equal_names(sources: Sequence[Path]) -> None:
    seen: dict[str, Path] = {}
    for source in sources:
        other = seen.setdefault(source.stem, source)
        if other is not source:
            raise CommandError(
                f"{other} and {source} would both become {source.stem}.*; enhance them into different folders."
            )
