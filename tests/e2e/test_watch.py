"""`limpid watch` as a process of its own that is killed at its work, on real recordings."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import httpx
import numpy as np
import soundfile

from tests.e2e.stack import JOB_TIMEOUT_S, LIMPID, RunningStack, run_limpid, wait_until

SAMPLE_RATE = 16_000
COUNT = 6


def steps_of(inbox: Path) -> list[str]:
    """How far the claims are, by their records."""
    records = []
    for record in (inbox / ".limpid" / "claimed").glob("*/record.json"):
        try:
            records.append(json.loads(record.read_text(encoding="utf-8"))["step"])
        except FileNotFoundError:
            continue  # settled just now
    return records


def test_killed_watcher_does_every_file_exactly_once(shared_stack: RunningStack, tmp_path: Path) -> None:
    inbox, out = tmp_path / "in", tmp_path / "out"
    frames = {}
    for number in range(COUNT):
        path = inbox / f"day-{number % 2}" / f"watched-{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        frames[path.relative_to(inbox)] = 2 * SAMPLE_RATE + number
        noise = np.random.default_rng(number).normal(scale=0.05, size=2 * SAMPLE_RATE + number)
        soundfile.write(path, noise, SAMPLE_RATE)
    (inbox / "late.wav.part").write_bytes(b"half")
    options = ("--url", shared_stack.url, "--preset", "clean-only", "--once", "--stable-s", "0.2")
    arguments = ("watch", str(inbox), "--out", str(out), *options)
    watcher = subprocess.Popen([*LIMPID, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: "submitted" in steps_of(inbox), timeout_s=60, what="a submitted recording")
    finally:
        watcher.send_signal(signal.SIGKILL)
        watcher.wait()
    (inbox / "notes.txt").write_text("words, not sound. " * 50, encoding="utf-8")

    done = run_limpid(*arguments, timeout_s=JOB_TIMEOUT_S)

    names = {path.with_name(f"{path.stem}.enhanced.wav"): count for path, count in frames.items()}
    results = {path.relative_to(out): soundfile.info(path).frames for path in out.rglob("*.wav")}
    assert results == names, done.stderr
    assert {path.relative_to(inbox / "done") for path in (inbox / "done").rglob("*.wav")} == set(frames)
    assert (inbox / "failed" / "notes.txt.reason.json").is_file()
    assert (inbox / "late.wav.part").is_file()
    assert not steps_of(inbox)
    assert done.returncode == 1  # for notes.txt
    jobs = httpx.get(f"{shared_stack.url}/api/v1/jobs", params={"limit": 200}).raise_for_status().json()["jobs"]
    submitted = [name for job in jobs if (name := job["input"]["name"]).startswith("watched-")]
    assert sorted(submitted) == sorted(path.name for path in frames)
