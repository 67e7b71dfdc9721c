"""A batch of real files through the embedded stack, from one form to one archive."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any

import httpx
import numpy as np
import soundfile

from tests.e2e.stack import JOB_TIMEOUT_S, RunningStack, wait_until

SAMPLE_RATE = 16_000


def recording(seed: int) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(seed).normal(scale=0.05, size=SAMPLE_RATE + seed)
    soundfile.write(buffer, noise, SAMPLE_RATE, format="WAV")
    return buffer.getvalue()


def test_batch_comes_back_as_an_archive_with_its_manifest(shared_stack: RunningStack) -> None:
    files = [("talk.wav", recording(1)), ("notes.txt", b"words, not sound. " * 50), ("talk.wav", recording(2))]
    with httpx.Client(base_url=shared_stack.url, timeout=30) as client:
        accepted = client.post(
            "/api/v1/batches", files=[("file", file) for file in files], data={"preset": "clean-only"}
        )
        assert accepted.status_code == 202, accepted.text
        href = accepted.headers["Location"]

        def batch() -> dict[str, Any]:
            told: dict[str, Any] = client.get(href).raise_for_status().json()
            return told

        wait_until(lambda: batch()["status"] != "running", timeout_s=JOB_TIMEOUT_S, what="the end of the batch")
        ended = batch()
        archive = zipfile.ZipFile(io.BytesIO(client.get(ended["links"]["archive"]).raise_for_status().content))

    manifest = json.loads(archive.read("manifest.json"))
    audio = {file["path"]: file for item in manifest["items"] for file in item["files"] if file["role"] == "enhanced"}
    assert ended["status"] == "partially_succeeded"
    assert [item["status"] for item in ended["items"]] == ["succeeded", "failed", "succeeded"]
    assert list(audio) == ["talk.enhanced.wav", "talk.enhanced-2.wav"]
    for seed, (path, file) in enumerate(audio.items(), start=1):
        data = archive.read(path)
        assert hashlib.sha256(data).hexdigest() == file["sha256"]
        assert soundfile.info(io.BytesIO(data)).frames == SAMPLE_RATE + seed
