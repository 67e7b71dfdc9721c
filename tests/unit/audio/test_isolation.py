"""Decoding in a process of its own: the same sound, and whatever happens to that process is told as what it is."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from core.audio.decode import AudioReader
from core.audio.isolated_reader import IsolatedReader
from core.audio.isolation import DecoderHost, IsolatedDecoder, probe_isolated
from core.audio.probe import probe
from core.audio.source import Source
from core.audio.tags import read_tags
from core.audio.wire import DecoderLimits
from core.errors import DecoderLost, InvalidAudio, StorageError, UnsupportedMedia
from tests.chaos.processes import descendants_of
from tests.servers import wait_until
from tests.unit.audio.signals import band_limited_noise, write_file

RATE = 48_000
LONG_FRAMES = 20 * RATE  # more than the sockets' buffers hold, so that the decoder waits in its middle


@pytest.fixture
def host() -> Iterator[DecoderHost]:
    """A host of the test's own, whose decoders it may kill."""
    opened = DecoderHost()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording") / "talk.wav"
    return write_file(path, band_limited_noise(LONG_FRAMES, RATE), sample_rate=RATE)


@pytest.fixture
def source(recording: Path) -> Iterator[Source]:
    with Source(recording) as opened:
        yield opened


def begin(source: Source, host: DecoderHost) -> tuple[IsolatedDecoder, Iterator[object]]:
    """A decoder in its middle."""
    decoder = IsolatedDecoder(source, name="talk.wav", host=host)
    pieces = decoder.pieces()
    next(pieces)
    return decoder, pieces


def decoder_pid(host: DecoderHost) -> int:
    """The process below the host and its guard."""
    assert host.pid is not None
    [decoder] = [pid for pid in descendants_of(host.pid) if not descendants_of(pid)]
    return decoder


def cpu_seconds_of_ended_children(host: DecoderHost) -> float:
    """User and system time (proc(5)) of all that the host has waited for."""
    fields = Path(f"/proc/{host.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("format", ["wav", "flac", "mp3", "m4a", "opus"])
def test_sound_facts_and_tags_are_those_of_a_decoder_in_this_process(tmp_path: Path, format: str) -> None:
    path = write_file(tmp_path / f"talk.{format}", band_limited_noise(RATE, RATE, channels=2), sample_rate=RATE)

    with IsolatedReader(path) as reader, AudioReader(path) as expected:
        assert reader.probe == expected.probe
        assert reader.tags == read_tags(path)
        for block, expected_block in zip(reader.blocks(), expected.blocks(), strict=True):
            np.testing.assert_array_equal(block, expected_block)
        assert reader.warning == expected.warning
    assert probe_isolated(path) == probe(path)


def test_cut_file_keeps_its_warning(recording: Path) -> None:
    cut = io.BytesIO(recording.read_bytes()[:100_000])

    with IsolatedReader(cut) as reader:
        frames = sum(block.shape[-1] for block in reader.blocks())

    assert frames > 0
    assert reader.warning is not None
    assert "cut short" in reader.warning


@pytest.mark.parametrize(
    ("content", "error", "text"),
    [
        (b"", UnsupportedMedia, "“talk.wav” is empty"),
        (b"words, not sound. " * 50, UnsupportedMedia, "“talk.wav” is not audio"),
        (b"RIFF" + bytes(4) + b"WAVEfmt ", InvalidAudio, "“talk.wav” begins like WAV"),
    ],
)
def test_refusal_is_the_decoders_own(content: bytes, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        probe_isolated(io.BytesIO(content), name="talk.wav")


def test_fault_of_the_store_is_not_the_files() -> None:
    class FailingFile(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise StorageError("the store does not answer")

    with pytest.raises(StorageError):
        probe_isolated(FailingFile(b"RIFF" + bytes(1_000)))


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (DecoderLimits(memory_bytes=4096), "memory|fail"),
        (DecoderLimits(stall_s=1e-4), "busy without end"),
    ],
)
def test_file_that_takes_more_than_the_limits_is_refused(source: Source, limits: DecoderLimits, text: str) -> None:
    host = DecoderHost(limits)
    try:
        with pytest.raises(InvalidAudio, match=text):
            IsolatedDecoder(source, name="talk.wav", host=host)
    finally:
        host.close()


def test_crash_is_the_files_fault_and_ends_nothing_else(recording: Path, host: DecoderHost) -> None:
    class CrashingFile(io.BytesIO):
        """Makes the decoder crash that reads it a second time."""

        reads = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.reads += 1
            if self.reads == 2:
                os.kill(decoder_pid(host), signal.SIGSEGV)
            return super().read(size)

    def decode() -> None:
        crashing = Source(CrashingFile(recording.read_bytes()))
        with closing(IsolatedDecoder(crashing, name="talk.wav", host=host)) as decoder:
            list(decoder.pieces())

    with pytest.raises(InvalidAudio, match=r"“talk\.wav” makes the decoder fail"):
        decode()

    with Source(recording) as source, closing(IsolatedDecoder(source, host=host)) as next_one:
        assert next_one.probe.frames == LONG_FRAMES


@pytest.mark.parametrize("killed", ["decoder", "both"])
def test_kill_from_outside_is_nobodys_fault_and_may_be_tried_again(
    source: Source, host: DecoderHost, killed: str
) -> None:
    decoder, pieces = begin(source, host)
    assert host.pid is not None
    victims = [decoder_pid(host)] if killed == "decoder" else [*descendants_of(host.pid)]

    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(DecoderLost):
        list(pieces)
    decoder.close()


def test_killed_host_is_replaced(source: Source, host: DecoderHost) -> None:
    decoder, _ = begin(source, host)
    decoder.close()
    first = host.pid
    assert first is not None

    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{first}/exe").exists(), timeout_s=10, what="the host is gone")

    with closing(IsolatedDecoder(source, host=host)) as next_one:
        assert next_one.probe.frames == LONG_FRAMES
    assert host.pid != first


def test_cpu_time_of_decoders_is_known_after_their_end(tmp_path: Path, host: DecoderHost) -> None:
    path = write_file(tmp_path / "talk.flac", band_limited_noise(60 * RATE, RATE), sample_rate=RATE)

    with Source(path) as opened, closing(IsolatedDecoder(opened, name="talk.flac", host=host)) as decoder:
        frames = sum(piece.shape[-1] for piece in decoder.pieces())

    assert frames == 60 * RATE
    wait_until(lambda: cpu_seconds_of_ended_children(host) > 0.02, timeout_s=10, what="the decoder is accounted for")


def test_decoder_ends_when_its_sound_is_no_longer_wanted(source: Source, host: DecoderHost) -> None:
    decoder, pieces = begin(source, host)
    assert host.pid is not None
    assert descendants_of(host.pid)

    decoder.close()
    del pieces

    wait_until(lambda: not descendants_of(host.pid or 0), timeout_s=10, what="guard and decoder have ended")
