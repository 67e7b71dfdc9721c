"""A job that is cancelled while htdemucs separates: the network stops at its next chunk, the worker is free at once."""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from demucs.apply import BagOfModels
from demucs.pretrained import get_model

from core.enhancement.htdemucs import HTDemucsSeparator, count_chunks
from core.enhancement.pipeline import run_pipeline
from core.jobs import JobStatus
from core.options import resolve_options
from core.outbound.client import OutboundClient
from core.services import check_recording
from core.settings import Settings
from core.sources.source import Sources
from tests.factories import make_job
from tests.fakes import FakeJobRepository, FakeObjectStore
from worker.fetching import InputFetcher
from worker.lease import utc_now
from worker.model_cache import ModelCache
from worker.processing import Processor
from worker.runner import JobRunner

SAMPLE_RATE = 44_100
DURATION_S = 2.25
CHUNK_S = 0.25
CANCELLED_AT = 3  # calls of the network


@pytest.fixture
def bag() -> BagOfModels:
    """The package's test network, untrained, with chunks of a quarter of a second."""
    torch.manual_seed(0)
    return BagOfModels([get_model("demucs_unittest").eval()], None, CHUNK_S)


def recording() -> bytes:
    buffer = io.BytesIO()
    noise = 0.1 * np.random.default_rng(5).standard_normal((round(DURATION_S * SAMPLE_RATE), 2))
    soundfile.write(buffer, noise, SAMPLE_RATE, format="WAV")
    return buffer.getvalue()


def test_a_cancelled_separation_stops_at_the_next_chunk(tmp_path: Path, bag: BagOfModels) -> None:
    settings = Settings(data_dir=tmp_path, progress_interval_s=1e-6)
    runs, store = FakeJobRepository(), FakeObjectStore()
    job = make_job(preset="fast", options=resolve_options("fast").model_dump(mode="json"))
    runs.add(job)
    store.put(job.input.key, recording())
    calls = 0

    def count_and_cancel(*_: Any) -> None:  # noqa: ANN401 - what PyTorch hands to hooks
        nonlocal calls
        calls += 1
        if calls == CANCELLED_AT:
            assert runs.request_cancel(job.id, now=utc_now()).status is JobStatus.CANCELLING

    bag.models[0].register_forward_hook(count_and_cancel)
    runner = JobRunner(
        runs=runs,
        processor=Processor(
            store=store,
            fetcher=InputFetcher(
                runs=runs,
                store=store,
                client=OutboundClient(),
                sources=Sources(None, allowed=(), own_bucket="limpid"),
                check_recording=functools.partial(check_recording, settings=settings),
                max_bytes=settings.max_upload_bytes,
                timeout_s=settings.fetch_timeout_s,
            ),
            models=ModelCache(lambda _: HTDemucsSeparator(bag, name="htdemucs", licence="MIT"), capacity=1),
            pipeline=run_pipeline,
            scratch_dir=settings.resolved_scratch_dir,
            max_duration_s=settings.max_duration_s,
        ),
        settings=settings,
        worker="test",
        is_shutting_down=lambda: False,
    )

    runner.run(job.id)

    ended = runs.get(job.id)
    assert ended.status is JobStatus.CANCELLED
    assert calls == CANCELLED_AT
    assert count_chunks(bag, round(DURATION_S * SAMPLE_RATE), shifts=0, overlap=0.25) > 3 * CANCELLED_AT
    assert set(store.objects) == {job.input.key}
    assert list(settings.resolved_scratch_dir.iterdir()) == []
