"""Fetching weights from a real HTTP server on this machine: complete, interrupted, changed, wrong."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import torch

from core.errors import InsufficientDisk, InvalidOptions, ModelUnavailable, TransientError
from core.model_catalogue import MODELS, ModelRecord, WeightsFile
from core.models import download
from core.models.checkpoints import load_model
from core.models.download import ATTEMPTS, fetch, pull_model
from core.models.released import read_state_dict
from core.models.two_stage_release import layer_names
from core.models.two_stage_unet import TwoStageUNet
from tests.file_server import FileServer, file_server
from tests.tensor_bundles import write_bundle, zip_bundle


@pytest.fixture(scope="module")
def weights() -> bytes:
    """A file in the published format: a bare state dict as PyTorch saves it, of about 200 kB."""
    buffer = io.BytesIO()
    generator = torch.Generator().manual_seed(0)
    torch.save({"layer.weight": torch.randn(500, 100, generator=generator)}, buffer)
    return buffer.getvalue()


@pytest.fixture
def server(weights: bytes) -> Iterator[FileServer]:
    with file_server(weights, name="weights.th") as served:
        yield served


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(follow_redirects=True, trust_env=False, timeout=10, verify=False) as client:
        yield client


@pytest.fixture
def file(server: FileServer, weights: bytes) -> WeightsFile:
    return WeightsFile(name="weights.th", url=server.url, sha256_prefix=hashlib.sha256(weights).hexdigest()[:16])


@pytest.fixture
def record(file: WeightsFile) -> ModelRecord:
    return replace(MODELS["dns48"], files=(file,))


def no_pause(_: float) -> None:
    """Go on at once."""


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_is_fetched_whole_and_verified(
    file: WeightsFile, client: httpx.Client, tmp_path: Path, weights: bytes
) -> None:
    heard: list[tuple[int, int | None]] = []

    digest = fetch(
        file, tmp_path / "weights.th", client=client, on_progress=lambda _, done, total: heard.append((done, total))
    )

    assert (tmp_path / "weights.th").read_bytes() == weights
    assert digest == hashlib.sha256(weights).hexdigest()
    assert heard[-1] == (len(weights), len(weights))
    assert leftovers(tmp_path) == ["weights.th"]


def test_interrupted_transfer_goes_on_where_it_stopped(
    file: WeightsFile, server: FileServer, client: httpx.Client, tmp_path: Path, weights: bytes
) -> None:
    server.cut_after = [70_000, 50_000]

    fetch(file, tmp_path / "weights.th", client=client, pause=no_pause)

    assert server.ranges == [None, "bytes=70000-", "bytes=120000-"]
    assert (tmp_path / "weights.th").read_bytes() == weights


def test_next_run_goes_on_where_the_last_one_gave_up(
    file: WeightsFile, server: FileServer, client: httpx.Client, tmp_path: Path, weights: bytes
) -> None:
    server.cut_after = [70_000] + [0] * ATTEMPTS
    with pytest.raises(TransientError, match=r"weights\.th could not be fetched.*continues where it stopped"):
        fetch(file, tmp_path / "weights.th", client=client, pause=no_pause)
    assert not (tmp_path / "weights.th").exists()
    server.ranges.clear()

    fetch(file, tmp_path / "weights.th", client=client, pause=no_pause)

    assert server.ranges == ["bytes=70000-"]
    assert (tmp_path / "weights.th").read_bytes() == weights


def test_file_that_changed_in_between_is_fetched_anew(
    file: WeightsFile, server: FileServer, client: httpx.Client, tmp_path: Path, weights: bytes
) -> None:
    server.data, server.etag, server.cut_after = b"x" * len(weights), '"v0"', [70_000] + [0] * ATTEMPTS
    with pytest.raises(TransientError):
        fetch(file, tmp_path / "weights.th", client=client, pause=no_pause)
    server.data, server.etag = weights, '"v1"'

    fetch(file, tmp_path / "weights.th", client=client, pause=no_pause)

    assert (tmp_path / "weights.th").read_bytes() == weights


@pytest.mark.parametrize(("etag", "honours_range"), [(None, True), ('W/"weak"', True), ('"v1"', False)])
def test_transfer_that_cannot_be_continued_starts_again(
    file: WeightsFile,
    server: FileServer,
    client: httpx.Client,
    tmp_path: Path,
    weights: bytes,
    etag: str | None,
    honours_range: bool,
) -> None:
    server.etag, server.honours_range, server.cut_after = etag, honours_range, [70_000]

    fetch(file, tmp_path / "weights.th", client=client, pause=no_pause)

    assert (tmp_path / "weights.th").read_bytes() == weights


def test_part_that_is_already_complete_only_gets_its_name(
    file: WeightsFile, server: FileServer, client: httpx.Client, tmp_path: Path, weights: bytes
) -> None:
    (tmp_path / "weights.th.part").write_bytes(weights)
    (tmp_path / "weights.th.part.json").write_text('{"version": "\\"v1\\""}')

    fetch(file, tmp_path / "weights.th", client=client, pause=no_pause)

    assert server.ranges == [f"bytes={len(weights)}-"]
    assert leftovers(tmp_path) == ["weights.th"]


def test_part_that_is_longer_than_the_file_is_thrown_away(
    file: WeightsFile, client: httpx.Client, tmp_path: Path, weights: bytes
) -> None:
    (tmp_path / "weights.th.part").write_bytes(weights + b"more")
    (tmp_path / "weights.th.part.json").write_text('{"version": "\\"v1\\""}')

    fetch(file, tmp_path / "weights.th", client=client, pause=no_pause)

    assert (tmp_path / "weights.th").read_bytes() == weights


def test_wrong_hash_is_refused_and_nothing_is_left(
    file: WeightsFile, server: FileServer, client: httpx.Client, tmp_path: Path, weights: bytes
) -> None:
    server.data = bytes(len(weights))

    with pytest.raises(ModelUnavailable, match=rf"does not verify.*expected {file.sha256_prefix}"):
        fetch(file, tmp_path / "weights.th", client=client, pause=no_pause)

    assert leftovers(tmp_path) == []


def test_web_page_instead_of_the_file_is_refused(
    file: WeightsFile, server: FileServer, client: httpx.Client, tmp_path: Path
) -> None:
    server.data, server.media_type = b"<html>Please log in</html>", "text/html; charset=utf-8"

    with pytest.raises(ModelUnavailable, match=r"a web page instead of weights\.th"):
        fetch(file, tmp_path / "weights.th", client=client, pause=no_pause)

    assert not (tmp_path / "weights.th").exists()


@pytest.mark.parametrize("status", [401, 403, 404])
def test_refusal_of_the_server_is_final(
    file: WeightsFile, server: FileServer, client: httpx.Client, tmp_path: Path, status: int
) -> None:
    server.status = status

    with pytest.raises(ModelUnavailable, match=f"status {status}"):
        fetch(file, tmp_path / "weights.th", client=client, pause=no_pause)

    assert len(server.ranges) == 1


def test_overloaded_server_is_asked_again_after_growing_pauses(
    file: WeightsFile, server: FileServer, client: httpx.Client, tmp_path: Path
) -> None:
    server.status = 503
    pauses: list[float] = []

    with pytest.raises(TransientError, match="status 503"):
        fetch(file, tmp_path / "weights.th", client=client, pause=pauses.append)

    assert len(server.ranges) == ATTEMPTS
    assert pauses == sorted(pauses)
    assert len(pauses) == ATTEMPTS - 1


def test_unreachable_server_is_a_passing_error(file: WeightsFile, tmp_path: Path) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    with (
        httpx.Client(transport=httpx.MockTransport(refuse)) as client,
        pytest.raises(TransientError, match="connection refused"),
    ):
        fetch(file, tmp_path / "weights.th", client=client, pause=no_pause)


def test_redirect_away_from_tls_is_refused(file: WeightsFile, tmp_path: Path) -> None:
    def redirect(request: httpx.Request) -> httpx.Response:
        if request.url.scheme == "https":
            return httpx.Response(302, headers={"Location": "http://example.org/weights.th"})
        return httpx.Response(200, content=b"anything")

    secure = replace(file, url="https://example.org/weights.th")
    with (
        httpx.Client(transport=httpx.MockTransport(redirect), follow_redirects=True) as client,
        pytest.raises(ModelUnavailable, match="without TLS"),
    ):
        fetch(secure, tmp_path / "weights.th", client=client, pause=no_pause)


def test_endless_answer_is_cut_off(
    file: WeightsFile, client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MAX_FILE_BYTES", 1000)

    with pytest.raises(ModelUnavailable, match="too large"):
        fetch(file, tmp_path / "weights.th", client=client, pause=no_pause)


def test_full_disk_is_noticed_before_the_transfer(
    file: WeightsFile, client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("core.models.download.shutil.disk_usage", lambda _: usage)

    with pytest.raises(InsufficientDisk, match="1000 are free"):
        fetch(file, tmp_path / "weights.th", client=client, pause=no_pause)


def test_pulled_model_is_installed_and_can_be_read(record: ModelRecord, client: httpx.Client, tmp_path: Path) -> None:
    assert not record.is_installed(tmp_path / "models")

    (path,) = pull_model(record, tmp_path / "models", client=client)

    assert record.is_installed(tmp_path / "models")
    state, _ = read_state_dict(path, model="dns48", sha256_prefix=record.files[0].sha256_prefix)
    assert state["layer.weight"].shape == (500, 100)


def test_installed_model_is_not_fetched_again_unless_its_file_is_damaged(
    record: ModelRecord, server: FileServer, client: httpx.Client, tmp_path: Path, weights: bytes
) -> None:
    (path,) = pull_model(record, tmp_path, client=client)
    pull_model(record, tmp_path, client=client)
    assert len(server.ranges) == 1
    path.write_bytes(b"damaged")

    pull_model(record, tmp_path, client=client)

    assert len(server.ranges) == 2
    assert path.read_bytes() == weights


def test_mirror_serves_the_file_under_its_official_name(
    record: ModelRecord, server: FileServer, client: httpx.Client, tmp_path: Path
) -> None:
    official = replace(record, files=(replace(record.files[0], url="https://dl.example.org/deep/weights.th"),))

    pull_model(official, tmp_path, client=client, base_url=server.url.removesuffix("weights.th"))

    assert official.is_installed(tmp_path)


def test_pickled_class_is_refused_although_the_hash_is_right(
    record: ModelRecord, server: FileServer, client: httpx.Client, tmp_path: Path
) -> None:
    buffer = io.BytesIO()
    torch.save({"class": Path, "state": {}}, buffer)
    server.data = buffer.getvalue()
    file = replace(record.files[0], sha256_prefix=hashlib.sha256(server.data).hexdigest()[:16])

    with pytest.raises(ModelUnavailable, match="hold more than tensors"):
        pull_model(replace(record, files=(file,)), tmp_path, client=client)

    assert leftovers(tmp_path) == []


def test_demucs_members_go_to_their_folder_with_a_bag_that_demucs_can_read(
    server: FileServer, client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yaml = pytest.importorskip("yaml")
    monkeypatch.setattr(download, "check_content", lambda *_: None)
    digest = hashlib.sha256(server.data).hexdigest()[:8]
    record = MODELS["htdemucs_ft"]
    files = tuple(replace(file, url=server.url, sha256_prefix=digest) for file in record.files)

    paths = pull_model(replace(record, files=files), tmp_path, client=client)

    assert [path.parent for path in paths] == [tmp_path / "demucs"] * 4
    assert record.is_installed(tmp_path)
    bag = yaml.safe_load((tmp_path / "demucs" / "htdemucs_ft.yaml").read_text())
    assert bag["models"] == ["f7e0c4bc", "d12395a8", "92cfc3b6", "04573f0d"]
    assert bag["weights"][2] == [0.0, 0.0, 1.0, 0.0]


def test_pulled_tensorflow_checkpoint_is_converted_and_not_fetched_again(
    server: FileServer, client: httpx.Client, tmp_path: Path
) -> None:
    network = TwoStageUNet(depth=1, convolutions=2).eval()
    server.data = released_two_stage_checkpoint(network, tmp_path)
    record = MODELS["two-stage-unet"]
    record = replace(record, files=(replace(record.files[0], url=server.url),))

    (path,) = pull_model(record, tmp_path / "models", client=client)
    again = pull_model(record, tmp_path / "models", client=client)

    assert again == [path]
    assert len(server.ranges) == 1
    assert sorted(file.name for file in path.parent.iterdir()) == ["two-stage-unet.json", "two-stage-unet.safetensors"]
    assert record.is_installed(tmp_path / "models")
    _, converted = load_model(path, architecture="two-stage-unet", build=TwoStageUNet)
    torch.testing.assert_close(converted.head.weight, network.head.weight)


def released_two_stage_checkpoint(network: TwoStageUNet, folder: Path) -> bytes:
    """Return the ZIP of a TensorFlow checkpoint of `network`."""
    tensors = {}
    state = network.state_dict()
    for ours, theirs in layer_names(depth=network.depth, convolutions=network.convolutions).items():
        for parameter, variable in (("weight", "kernel"), ("bias", "bias")):
            values = state.get(f"{ours}.{parameter}")
            if values is not None:
                values = values.permute(2, 3, 1, 0) if values.ndim == 4 else values
                tensors[f"layer_with_weights-0/{theirs}/{variable}/.ATTRIBUTES/VARIABLE_VALUE"] = values.numpy()
    write_bundle(folder / "checkpoint", tensors)
    zip_bundle(folder / "checkpoint", folder / "checkpoint.zip")
    return (folder / "checkpoint.zip").read_bytes()


def test_bundled_model_has_nothing_to_pull(client: httpx.Client, tmp_path: Path) -> None:
    with pytest.raises(InvalidOptions, match="comes with Limpid"):
        pull_model(MODELS["cnn-mask"], tmp_path, client=client)


def test_model_that_is_for_you_to_train_has_nothing_to_pull_and_says_how_to_train_it(
    client: httpx.Client, tmp_path: Path
) -> None:
    with pytest.raises(InvalidOptions, match="limpid train finally-stage1"):
        pull_model(MODELS["finally-48k"], tmp_path, client=client)


def test_version_file_that_cannot_be_read_means_a_fresh_start(
    file: WeightsFile, server: FileServer, client: httpx.Client, tmp_path: Path
) -> None:
    (tmp_path / "weights.th.part").write_bytes(b"beginning")
    (tmp_path / "weights.th.part.json").write_text(json.dumps(["no version"]))

    fetch(file, tmp_path / "weights.th", client=client, pause=no_pause)

    assert server.ranges == [None]
