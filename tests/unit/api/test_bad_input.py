"""What is no usable recording, or no usable request, is refused with a reason, and nothing of it stays."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from fastapi.testclient import TestClient

from tests.fakes import FakeJobQueue, FakeJobRepository, FakeObjectStore
from tests.unit.api.recordings import encode, m4a, noise, wav
from tests.unit.api.test_submit import BOUNDARY, JOBS, form

FILE = ("file", "talk.wav")
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


@pytest.fixture
def submit(client: TestClient) -> Callable[..., tuple[int, dict[str, object]]]:
    """Send a form of a file and fields; the status and the JSON."""

    def submit(recording: bytes, *, name: str = "talk.wav", **fields: str) -> tuple[int, dict[str, object]]:
        response = client.post(JOBS, files={"file": (name, recording)}, data={"preset": "clean-only", **fields})
        return response.status_code, response.json()

    return submit


@pytest.fixture
def nothing_stays(store: FakeObjectStore, jobs: FakeJobRepository, queue: FakeJobQueue) -> Iterator[None]:
    """No object, row or message after the test."""
    yield
    assert store.objects == {}
    assert jobs.list().jobs == []
    assert queue.sent == []


def truncated_mp3() -> bytes:
    """Cut in the middle of its first frame: the header is there, no sound is."""
    return encode(noise(1.0, 44_100), 44_100, format="MP3")[:60]


def truncated_m4a() -> bytes:
    """Without its second half, and so without its index."""
    whole = m4a()
    return whole[: len(whole) // 2]


@pytest.mark.usefixtures("nothing_stays")
@pytest.mark.parametrize(
    ("recording", "statuses"),
    [
        pytest.param(b"", {415}, id="empty file"),
        pytest.param(b"This is a text, not a recording.\n" * 50, {415}, id="text file"),
        pytest.param(b"%PDF-1.7\n" + bytes(range(256)) * 8, {415}, id="PDF"),
        pytest.param(np.random.default_rng(3).bytes(4096), {415, 422}, id="random bytes"),
        pytest.param(truncated_mp3(), {415, 422}, id="truncated MP3"),
        pytest.param(truncated_m4a(), {422}, id="truncated M4A"),
        pytest.param(wav()[:20], {415, 422}, id="half a WAV header"),
        pytest.param(wav(seconds=0.0), {422}, id="no samples"),
    ],
)
def test_file_without_sound_is_refused(
    submit: Callable[..., tuple[int, dict[str, object]]], recording: bytes, statuses: set[int]
) -> None:
    status, problem = submit(recording)

    assert status in statuses
    assert problem["code"] == {415: "unsupported_media", 422: "invalid_audio"}[status]
    assert "talk.wav" in str(problem["detail"])


@pytest.mark.parametrize(
    ("recording", "sample_rate", "channels"),
    [
        pytest.param(wav(seconds=1 / 16_000), 16_000, 1, id="one sample"),
        pytest.param(wav(sample_rate=8_000), 8_000, 1, id="8 kHz"),
        pytest.param(wav(sample_rate=96_000), 96_000, 1, id="96 kHz"),
        pytest.param(wav(channels=6, sample_rate=48_000), 48_000, 6, id="six channels"),
        pytest.param(m4a(), 48_000, 1, id="M4A"),
        pytest.param(encode(noise(1.0, 44_100), 44_100, format="MP3"), 44_100, 1, id="MP3"),
        pytest.param(encode(np.zeros((8_000, 1), np.float32), 8_000, format="FLAC"), 8_000, 1, id="silence"),
        pytest.param(wav(seconds=1.0)[:-16_000], 16_000, 1, id="WAV that ends early"),
    ],
)
def test_unusual_recording_is_accepted(
    submit: Callable[..., tuple[int, dict[str, object]]], recording: bytes, sample_rate: int, channels: int
) -> None:
    status, told = submit(recording)

    assert status == 202
    source = told["input"]
    assert isinstance(source, dict)
    assert (source["sample_rate"], source["channels"]) == (sample_rate, channels)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_bad_sample_far_in_is_left_to_the_worker(
    submit: Callable[..., tuple[int, dict[str, object]]], value: float
) -> None:
    samples = noise(50.0, 16_000)
    samples[-1] = value

    status, _ = submit(encode(samples, 16_000, format="WAV", subtype="FLOAT"))

    assert status == 202


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("..", "recording"),
        ("C:\\Users\\me\\talk.wav", "talk.wav"),
        ("a\nSet-Cookie: b=c.wav", "a Set-Cookie: b=c.wav"),
        ("a\r\nb.wav", "a b.wav"),
        ('say "hi".wav', 'say "hi".wav'),
        ("", "recording"),
        ("录音.wav", "录音.wav"),
        ("x" * 5000 + ".wav", "x" * 196 + ".wav"),
    ],
)
def test_user_file_name_is_never_a_path(client: TestClient, store: FakeObjectStore, name: str, kept: str) -> None:
    told = client.post(
        JOBS,
        params={"preset": "clean-only", "name": name},
        content=wav(),
        headers={"Content-Type": "application/octet-stream"},
    ).json()

    assert told["input"]["name"] == kept
    assert list(store.objects) == [f"jobs/{told['id']}/input"]


@pytest.mark.parametrize(("name", "kept"), [("../a\nb.wav", "a b.wav"), ('"q".wav', '"q".wav'), ("..\\x.wav", "x.wav")])
def test_file_name_in_a_form_is_never_a_path(
    submit: Callable[..., tuple[int, dict[str, object]]], name: str, kept: str
) -> None:
    _, told = submit(wav(), name=name)

    source = told["input"]
    assert isinstance(source, dict)
    assert source["name"] == kept


@pytest.mark.usefixtures("nothing_stays")
class TestLimits:
    """The application under test allows 4 MB and 60 s."""

    def test_one_byte_too_many_is_refused(self, submit: Callable[..., tuple[int, dict[str, object]]]) -> None:
        status, problem = submit(wav() + bytes(4_000_001 - len(wav())))

        assert status == 413
        assert problem["code"] == "input_too_large"
        assert "4000000 bytes" in str(problem["detail"])

    def test_recording_that_lasts_too_long_is_refused(
        self, submit: Callable[..., tuple[int, dict[str, object]]]
    ) -> None:
        status, problem = submit(wav(seconds=60.1))

        assert status == 413
        assert "60.1 s" in str(problem["detail"])

    def test_text_field_that_is_too_large_is_refused(
        self, submit: Callable[..., tuple[int, dict[str, object]]]
    ) -> None:
        status, problem = submit(wav(), options=json.dumps({"metadata": {"x": "y" * 70_000}}))

        assert status == 413
        assert "options" in str(problem["detail"])


@pytest.mark.usefixtures("nothing_stays")
class TestOptions:
    @pytest.mark.parametrize(
        ("fields", "code", "named"),
        [
            ({"preset": "loud"}, "unknown_preset", "loud"),
            ({"preset": "a\0b"}, "unknown_preset", "a\\x00b"),
            ({"options": '{"overrides": {"colour": 1}}'}, "invalid_options", "colour"),
            ({"options": '{"overrides": {"strength": 1.5}}'}, "invalid_options", "strength"),
            ({"options": '{"overrides": {"strength": "much"}}'}, "invalid_options", "much"),
            ({"options": '{"outputs": [{"format": "exe"}]}'}, "invalid_options", "exe"),
            ({"options": '{"preset": "fast"}'}, "invalid_options", "twice"),
            ({"options": '{"overrides": '}, "invalid_options", "JSON"),
            ({"options": "[1, 2]"}, "invalid_options", "object"),
            ({"options": "[" * 60_000}, "invalid_options", "JSON"),
            ({"options": '{"metadata": {"x": NaN}}'}, "invalid_options", "JSON"),
            ({"options": '{"metadata": {"x": "\\u0000"}}'}, "invalid_options", "NUL"),
            ({"options": '{"metadata": {"x": "\\ud800"}}'}, "invalid_options", "JSON"),
            ({"options": '{"metadata": {"x": 99999999999999999999}}'}, "invalid_options", "64 bits"),
            ({"options": json.dumps({"metadata": {"x": [0] * 2_000}})}, "invalid_options", "values"),
        ],
    )
    def test_bad_option_is_named(
        self, submit: Callable[..., tuple[int, dict[str, object]]], fields: dict[str, str], code: str, named: str
    ) -> None:
        status, problem = submit(wav(), **fields)

        assert status == 422
        assert problem["code"] == code
        assert named in str(problem["detail"])

    def test_every_wrong_option_is_listed(self, submit: Callable[..., tuple[int, dict[str, object]]]) -> None:
        _, problem = submit(wav(), options='{"lane": "fast", "colour": "blue"}')

        faults = problem["errors"]
        assert isinstance(faults, list)
        assert {fault["location"] for fault in faults} == {"lane", "colour"}


@pytest.mark.usefixtures("nothing_stays")
class TestForms:
    @pytest.mark.parametrize(
        ("body", "named"),
        [
            pytest.param(form(("preset", None, b"clean-only"))[0], "no file", id="no file"),
            pytest.param(form((*FILE, wav()), (*FILE, wav()))[0], "two files", id="two files"),
            pytest.param(form((*FILE, wav()), ("colour", None, b"1"))[0], "colour", id="unknown field"),
            pytest.param(form(("audio", "a.wav", wav()))[0], "audio", id="file in another field"),
            pytest.param(form((*FILE, wav()), *[("preset", None, b"speech")] * 2)[0], "twice", id="field twice"),
            pytest.param(form((*FILE, wav()), ("preset", None, b"\xff"))[0], "UTF-8", id="field that is no text"),
            pytest.param(form((*FILE, wav()), closing=b"")[0], "ends before", id="no closing boundary"),
            pytest.param(form((*FILE, wav()))[0][:-5_000], "ends before", id="cut short"),
            pytest.param(b"", "ends before", id="empty body"),
            pytest.param(b"no form at all", "broken", id="no form"),
            pytest.param(form((*FILE, wav()))[0].replace(BOUNDARY.encode(), b"other"), "broken", id="other boundary"),
            pytest.param(f"--{BOUNDARY}\r\nBad Header\r\n\r\n".encode(), "broken", id="bad part header"),
            pytest.param(f"--{BOUNDARY}\r\nX: {'y' * 99_999}\r\n\r\n".encode(), "broken", id="huge part header"),
            pytest.param(f"--{BOUNDARY}\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode(), "field", id="part without a name"),
        ],
    )
    def test_broken_form_is_refused(self, client: TestClient, body: bytes, named: str) -> None:
        response = client.post(JOBS, content=body, headers={"Content-Type": FORM_TYPE})

        assert response.status_code == 400
        assert response.json()["code"] == "invalid_input"
        assert named in response.json()["detail"]

    @pytest.mark.parametrize(
        "content_type",
        ["multipart/form-data", "multipart/form-data; boundary=", f"multipart/form-data; boundary={'x' * 300}"],
    )
    def test_form_without_a_usable_boundary_is_refused(self, client: TestClient, content_type: str) -> None:
        response = client.post(JOBS, content=form((*FILE, wav()))[0], headers={"Content-Type": content_type})

        assert response.status_code == 400
        assert "boundary" in response.json()["detail"]


@pytest.mark.usefixtures("nothing_stays")
class TestBodies:
    @pytest.mark.parametrize(
        "content_type", ["text/plain", "application/x-www-form-urlencoded", "image/png", "nonsense", ""]
    )
    def test_body_of_another_kind_is_refused(self, client: TestClient, content_type: str) -> None:
        response = client.post(JOBS, content=wav(), headers={"Content-Type": content_type})

        assert response.status_code == 415
        assert response.json()["code"] == "unsupported_media"
        assert "multipart/form-data" in response.json()["detail"]

    def test_empty_raw_body_is_refused(self, client: TestClient) -> None:
        response = client.post(
            JOBS, params={"preset": "clean-only"}, content=b"", headers={"Content-Type": "audio/wav"}
        )

        assert response.status_code == 415
        assert "empty" in response.json()["detail"]
