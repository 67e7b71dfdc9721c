"""Ids that are the same in every process, for test parameters: parallel runs must collect the same tests."""

from __future__ import annotations

UNKNOWN_ID = "01a1f8cf-bd4a-7211-914a-a173b737fc30"
