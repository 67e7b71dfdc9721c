"""What the API itself costs: `python -m benchmarks.api [--mib 1024] [--submits 200]`.

Starts an API on SQLite and a folder, and prints a JSON line each for:

- a large recording, sent as a body of its own, as a form, and fetched back: how much the API's peak resident set grows
  (the promise is 64 MiB for 1 GiB);
- small recordings, submitted one after the other, against a bare FastAPI handler that stores the same bytes in a file,
  the two taking turns so that a busy machine slows both: submits per second of each, the ratio of their times, and the
  processor time that each server took for one.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile

ROOT = Path(__file__).parents[1]
MIB = 1024**2
BLOCK_BYTES = MIB
START_TIMEOUT_S = 120.0
BARE_HANDLER = """
import pathlib, sys, uuid
import uvicorn
from fastapi import FastAPI, Request
app = FastAPI()
folder = pathlib.Path(sys.argv[1])

@app.get("/healthz")
async def healthz(): return {}

@app.post("/jobs", status_code=202)
async def store(request: Request):
    name = str(uuid.uuid4())
    with (folder / name).open("wb") as file:
        async for block in request.stream():
            file.write(block)
    return {"id": name}

uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
"""


def large_recording(mib: int) -> Iterator[bytes]:
    """A 16-bit stereo WAV of `mib` MiB of noise, in blocks."""
    size = mib * MIB - 44
    yield struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", size + 36, b"WAVE", b"fmt ", 16, 1, 2, 48_000, 192_000, 4, 16,
                      b"data", size)  # fmt: skip
    block = np.random.default_rng(0).bytes(BLOCK_BYTES)
    sent = 44
    while sent < mib * MIB:
        piece = block[: mib * MIB - sent]
        sent += len(piece)
        yield piece


def form_of(recording: Iterator[bytes]) -> Iterator[bytes]:
    """The recording as the only file of a form whose boundary is `limpid`."""
    yield b'--limpid\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    yield from recording
    yield b'\r\n--limpid\r\nContent-Disposition: form-data; name="preset"\r\n\r\nclean-only\r\n--limpid--\r\n'


def small_recording() -> bytes:
    """Two seconds at 16 kHz: 64 KB."""
    buffer = io.BytesIO()
    soundfile.write(buffer, 0.1 * np.random.default_rng(0).standard_normal(32_000), 16_000, format="WAV")
    return buffer.getvalue()


@contextmanager
def api(folder: Path) -> Iterator[tuple[httpx.Client, int]]:
    """`limpid api` over `folder`: a client, and the process id."""
    environment = {**os.environ, "LIMPID_DATA_DIR": str(folder), "PYTHONPATH": str(ROOT), "LIMPID_LOG_LEVEL": "WARNING"}
    command = [sys.executable, "-m", "cli.main"]
    subprocess.run([*command, "migrate"], env=environment, cwd=ROOT, check=True, capture_output=True)
    port = free_port()
    with (
        served([*command, "api", "--port", str(port)], port, environment) as pid,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600.0) as client,
    ):
        yield client, pid


@contextmanager
def served(command: list[str], port: int, environment: dict[str, str]) -> Iterator[int]:
    """Run a server until the block ends; its process id once it answers."""
    process = subprocess.Popen(command, env=environment, cwd=ROOT)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/healthz")
                break
            except httpx.TransportError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def peak_resident_bytes(pid: int) -> int:
    """The largest resident set that a process ever had (Linux)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    if found is None:
        raise RuntimeError(f"Process {pid} has ended.")
    return int(found[1]) * 1024


def forget_peak(pid: int) -> None:
    """Let the peak begin anew: importing the program took more than it holds afterwards (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has taken so far, without its children's."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_streaming(folder: Path, *, mib: int) -> dict[str, Any]:
    """Send and fetch a recording of `mib` MiB; by how much the API's peak grew each time."""
    with api(folder) as (client, pid):
        warm = submit(client, large_recording(2), "audio/wav")
        client.get(f"/api/v1/jobs/{warm}/input").raise_for_status()
        figures: dict[str, Any] = {"mib": mib}
        forget_peak(pid)
        before = peak_resident_bytes(pid)
        job_id = submit(client, large_recording(mib), "audio/wav")
        figures["body_growth_mib"] = round((peak_resident_bytes(pid) - before) / MIB, 1)
        submit(client, form_of(large_recording(mib)), "multipart/form-data; boundary=limpid")
        figures["form_growth_mib"] = round((peak_resident_bytes(pid) - before) / MIB, 1)
        fetched = 0
        with client.stream("GET", f"/api/v1/jobs/{job_id}/input") as answer:
            answer.raise_for_status()
            for block in answer.iter_raw(BLOCK_BYTES):
                fetched += len(block)
        figures["fetch_growth_mib"] = round((peak_resident_bytes(pid) - before) / MIB, 1)
        if fetched != mib * MIB:
            raise RuntimeError(f"{fetched} bytes came back of {mib * MIB}.")
        return figures


def submit(client: httpx.Client, body: Iterator[bytes] | bytes, media_type: str) -> str:
    """Submit a body; the job's id."""
    answer = client.post("/api/v1/jobs?preset=clean-only", content=body, headers={"Content-Type": media_type})
    return str(answer.raise_for_status().json()["id"])


def measure_submits(folder: Path, *, submits: int) -> dict[str, Any]:
    """Submit so many small recordings to the API, and as many to a bare handler, in turn."""
    recording = small_recording()
    port = free_port()
    bare_folder = folder / "bare"
    bare_folder.mkdir()
    command = [sys.executable, "-c", BARE_HANDLER, str(bare_folder), str(port)]
    with (
        api(folder / "limpid") as (client, pid),
        served(command, port, {**os.environ}) as bare_pid,
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as bare,
    ):
        times: dict[str, list[float]] = {"limpid": [], "bare": []}
        cpu_s = {"limpid": -cpu_seconds(pid), "bare": -cpu_seconds(bare_pid)}
        for _ in range(submits + 5):
            for name, post in (
                ("limpid", lambda: submit(client, recording, "audio/wav")),
                ("bare", lambda: str(bare.post("/jobs", content=recording).raise_for_status())),
            ):
                started = time.perf_counter()
                post()
                times[name].append(time.perf_counter() - started)
        cpu_s = {"limpid": cpu_s["limpid"] + cpu_seconds(pid), "bare": cpu_s["bare"] + cpu_seconds(bare_pid)}
    median_s = {name: statistics.median(each[5:]) for name, each in times.items()}
    return {
        "submits": submits,
        "submits_per_s": round(1 / median_s["limpid"], 1),
        "bare_submits_per_s": round(1 / median_s["bare"], 1),
        "ratio": round(median_s["limpid"] / median_s["bare"], 2),
        "cpu_ms": round(1000 * cpu_s["limpid"] / (submits + 5), 2),
        "bare_cpu_ms": round(1000 * cpu_s["bare"] / (submits + 5), 2),
    }


def main() -> None:
    """Measure both and print a JSON line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024, help="size of the large recording; 0: leave it out")
    parser.add_argument("--submits", type=int, default=200, help="0: leave them out")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="limpid-benchmark-") as folder:
        if arguments.mib:
            sys.stdout.write(json.dumps(measure_streaming(Path(folder, "large"), mib=arguments.mib)) + "\n")
            sys.stdout.flush()
        if arguments.submits:
            small = Path(folder, "small")
            small.mkdir()
            sys.stdout.write(json.dumps(measure_submits(small, submits=arguments.submits)) + "\n")


if __name__ == "__main__":
    main()
