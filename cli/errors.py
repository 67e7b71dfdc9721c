"""The error that ends a command with one line on standard error."""

from __future__ import annotations


class CommandError(Exception):
    """A command cannot do what was asked; the message tells the person who typed it why, and what to do."""
