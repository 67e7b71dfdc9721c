"""The queries by which KEDA scales the workers, on a real Postgres with the real tables."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text

from tests.kubernetes_manifests import scaling_queries


@pytest.mark.parametrize("index", range(2), ids=["age of the oldest", "jobs"])
def test_a_scaling_query_answers_zero_for_no_jobs(postgres_database: str, index: int) -> None:
    engine = create_engine(postgres_database)
    with engine.connect() as connection:
        rows = connection.execute(text(scaling_queries()[index])).all()
    engine.dispose()

    assert [float(value) for (value,) in rows] == [0.0]
