"""What goes wrong between client and server."""

from __future__ import annotations


class ApiError(Exception):
    """The server refused, or did not answer (`status` None). `code` is the problem's, for programs."""

    def __init__(self, message: str, *, status: int | None = None, code: str = "no_answer") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
