"""What more than one of the end-to-end tests runs against."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.stack import RunningStack, running_stack


@pytest.fixture(scope="session")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """An embedded stack that may reach this machine, for tests that look at nothing but what they submitted themselves.

    One for all of them: a start, the first job and a stop take a quarter of a minute.
    """
    environment = {"LIMPID_WEBHOOK_ALLOW": "127.0.0.0/8"}
    with running_stack(tmp_path_factory.mktemp("shared") / "data", environment=environment) as stack:
        yield stack
