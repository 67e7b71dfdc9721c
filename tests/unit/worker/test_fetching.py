"""Inputs by URL, from a local web server through the worker's own run."""

from __future__ import annotations

import hashlib
import io
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from core.jobs import InputFile, Job, JobStatus
from core.outbound.addresses import parse_networks
from core.outbound.client import OutboundClient
from core.sources.location import Location
from core.sources.source import Sources
from tests.factories import make_job
from tests.source_fakes import FakeObjectSource
from tests.unit.worker.bench import Bench, ScriptedPipeline
from tests.web_server import Received, Reply, web_server
from worker import lease as lease_module
from worker.lease import utc_now

ALLOWED = OutboundClient(allow=parse_networks(["127.0.0.0/8"]))
MAX_BYTES = 100_000


def recording(seconds: float = 1.0) -> bytes:
    buffer = io.BytesIO()
    samples = 0.1 * np.random.default_rng(3).standard_normal(round(seconds * 16_000))
    soundfile.write(buffer, samples, 16_000, format="WAV")
    return buffer.getvalue()


def open_bench(
    tmp_path: Path,
    url: str,
    *,
    outbound: OutboundClient = ALLOWED,
    sources: Sources | None = None,
    **settings: Any,  # noqa: ANN401
) -> Bench:
    """A runner with one job, whose recording is at `url`."""
    limits = {"max_upload_bytes": MAX_BYTES, "max_duration_s": 2.0, "fetch_timeout_s": 5.0, **settings}
    bench = Bench(tmp_path, ScriptedPipeline(), outbound=outbound, sources=sources, **limits)
    job = make_job(options=bench.job.options)
    elsewhere = InputFile(
        name="recording", key=f"jobs/{job.id}/input", bytes=0, sha256="", media_type="application/octet-stream", url=url
    )
    bench.store.objects.clear()
    bench.replace_job(replace(job, input=elsewhere))
    return bench


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "RETRY_DELAYS_S", (0.01,))


def test_recording_is_fetched_checked_stored_and_enhanced(tmp_path: Path) -> None:
    data = recording()
    headers = {"Content-Disposition": 'attachment; filename="Zwei Töne.wav"'}
    with web_server(lambda _: Reply(headers=headers, body=data)) as server:
        bench = open_bench(tmp_path, server.url("/x"))
        ended = bench.run()

    assert ended.status is JobStatus.SUCCEEDED
    assert ended.input == InputFile(
        name="Zwei Töne.wav",
        key=f"jobs/{ended.id}/input",
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        media_type="audio/wav",
        duration_s=1.0,
        sample_rate=16_000,
        channels=1,
        url=server.url("/x"),
    )
    assert bench.store.objects[ended.input.key] == data
    assert bench.pipeline.calls[0]["source"] == data
    assert bench.pipeline.calls[0]["input_name"] == "Zwei Töne.wav"
    assert bench.scratch_files == []


def test_later_attempt_does_not_fetch_again(tmp_path: Path) -> None:
    with web_server(lambda _: Reply(body=recording())) as server:
        bench = open_bench(tmp_path, server.url("/x.wav"))
        bench.store.is_down = True
        assert bench.run().status is JobStatus.QUEUED
        bench.store.is_down = False

        def interrupt(_: Any) -> None:  # noqa: ANN401
            bench.is_shutting_down = True

        bench.pipeline.script = interrupt
        assert bench.run().status is JobStatus.QUEUED
        bench.is_shutting_down = False
        bench.pipeline.script = lambda _: None
        ended = bench.run()

    assert ended.status is JobStatus.SUCCEEDED
    assert len(server.received) == 2  # the store was down after the first


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(status=404, body=b"secret"), "fetch_failed"),
        (Reply(status=302, headers={"Location": "http://127.0.0.1:1/"}), "fetch_failed"),
        (Reply(body=b""), "unsupported_media"),
        (Reply(body=b"<html>no sound</html>"), "unsupported_media"),
        (Reply(body=recording()[:100] + b"\0" * MAX_BYTES), "input_too_large"),
        (Reply(body=recording(seconds=2.5)), "input_too_large"),
    ],
)
def test_what_is_no_usable_recording_fails_the_job_for_good(tmp_path: Path, reply: Reply, code: str) -> None:
    with web_server(lambda _: reply) as server:
        bench = open_bench(tmp_path, server.url("/x.wav"))
        ended = bench.run()

    assert ended.status is JobStatus.FAILED
    assert ended.error is not None
    assert ended.error.code == code
    assert "secret" not in ended.error.detail
    assert bench.store.objects == {}
    assert bench.scratch_files == []


def test_private_server_fails_the_job_without_being_asked(tmp_path: Path) -> None:
    with web_server(lambda _: Reply(body=recording())) as server:
        ended = open_bench(tmp_path, server.url("/x.wav"), outbound=OutboundClient()).run()

    assert ended.error is not None
    assert ended.error.code == "forbidden_url"
    assert server.received == []


def test_server_that_is_down_is_asked_again_until_the_attempts_are_used_up(tmp_path: Path) -> None:
    with web_server(lambda _: Reply(status=503)) as server:
        bench = open_bench(tmp_path, server.url("/x.wav"), max_attempts=2)

        assert bench.run().status is JobStatus.QUEUED
        ended = bench.run()

    assert ended.status is JobStatus.FAILED
    assert ended.error is not None
    assert ended.error.code == "outbound_error"
    assert len(server.received) == 2


def test_cancel_stops_a_fetch_in_its_middle(tmp_path: Path) -> None:
    is_cancelled = threading.Event()

    def answer(_: Received) -> Reply:
        bench.runs.request_cancel(bench.job.id, now=utc_now())
        is_cancelled.set()
        return Reply(headers={"Transfer-Encoding": "chunked"}, body=b"1\r\nx\r\n")  # and nothing more for ever

    with web_server(answer) as server:
        bench = open_bench(tmp_path, server.url("/x.wav"), lease_s=0.3, fetch_timeout_s=2.0)
        ended = bench.run()

    assert is_cancelled.is_set()
    assert ended.status is JobStatus.CANCELLED
    assert bench.scratch_files == []


def test_job_with_neither_recording_nor_url_fails(tmp_path: Path) -> None:
    bench = open_bench(tmp_path, "http://unused.example/")
    nowhere: Job = replace(bench.job, id=make_job().id, input=replace(bench.job.input, url=None))
    bench.replace_job(nowhere)

    ended = bench.run()

    assert ended.status is JobStatus.FAILED


def reference_of(job: Job, url: str) -> InputFile:
    return InputFile(
        name="clean", key=f"jobs/{job.id}/reference", bytes=0, sha256="", media_type="application/octet-stream", url=url
    )


def test_reference_is_fetched_stored_and_compared_with(tmp_path: Path) -> None:
    noisy, clean = recording(), recording(0.9)
    with web_server(lambda received: Reply(body=clean if received.path == "/clean.wav" else noisy)) as server:
        bench = open_bench(tmp_path, server.url("/x.wav"))
        bench.replace_job(replace(bench.job, reference=reference_of(bench.job, server.url("/clean.wav"))))
        ended = bench.run()

    assert ended.status is JobStatus.SUCCEEDED
    assert ended.reference is not None
    assert (ended.reference.name, ended.reference.duration_s) == ("clean.wav", 0.9)
    assert bench.store.objects[ended.reference.key] == clean
    assert bench.pipeline.calls[0]["source"] == noisy
    assert bench.pipeline.calls[0]["reference_bytes"] == clean
    assert bench.scratch_files == []


def test_reference_that_is_no_audio_fails_the_job_and_is_named(tmp_path: Path) -> None:
    with web_server(
        lambda received: Reply(body=b"<html/>" if received.path == "/clean.wav" else recording())
    ) as server:
        bench = open_bench(tmp_path, server.url("/x.wav"))
        bench.replace_job(replace(bench.job, reference=reference_of(bench.job, server.url("/clean.wav"))))
        ended = bench.run()

    assert ended.status is JobStatus.FAILED
    assert ended.error is not None
    assert ended.error.code == "unsupported_media"
    assert ended.error.detail.startswith("The reference cannot be used. ")


def sources_of(data: bytes, *, prefix: str = "talks/") -> Sources:
    """A bucket with one recording, of which `prefix` may be read."""
    bucket = FakeObjectSource({("archive", "talks/a b.wav"): data})
    return Sources(bucket, allowed=[Location(bucket="archive", prefix=prefix)], own_bucket="limpid")


def test_recording_of_a_bucket_is_fetched_checked_and_stored(tmp_path: Path) -> None:
    data = recording()
    bench = open_bench(tmp_path, "s3://archive/talks/a%20b.wav", sources=sources_of(data))

    ended = bench.run()

    assert ended.status is JobStatus.SUCCEEDED
    assert (ended.input.bytes, ended.input.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (ended.input.media_type, ended.input.duration_s) == ("audio/wav", 1.0)
    assert bench.store.objects[ended.input.key] == data


@pytest.mark.parametrize(
    ("url", "prefix", "limit", "code"),
    [
        ("s3://archive/talks/gone.wav", "talks/", MAX_BYTES, "fetch_failed"),
        ("s3://archive/talks/a%20b.wav", "other/", MAX_BYTES, "forbidden_url"),  # no longer allowed
        ("s3://archive/talks/a%20b.wav", "talks/", 20_000, "input_too_large"),
    ],
)
def test_recording_of_a_bucket_that_cannot_be_had_fails_the_job(
    tmp_path: Path, url: str, prefix: str, limit: int, code: str
) -> None:
    bench = open_bench(tmp_path, url, sources=sources_of(recording(), prefix=prefix), max_upload_bytes=limit)

    ended = bench.run()

    assert ended.status is JobStatus.FAILED
    assert ended.error is not None
    assert ended.error.code == code
    assert bench.scratch_files == []
