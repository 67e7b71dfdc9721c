"""`limpid models`: what it prints, what it asks, and what it installs."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from cli.main import app
from core import model_catalogue
from core.model_catalogue import MODELS, WeightsFile

runner = CliRunner()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a mirror of dns48, whose place in the catalogue a small file of the same format takes."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    buffer = io.BytesIO()
    torch.save({"weight": torch.ones(3)}, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()[:16]
    name = f"dns48-{digest}.th"
    (folder / name).write_bytes(buffer.getvalue())
    file = WeightsFile(name=name, url=f"https://dl.example.org/{name}", sha256_prefix=digest)
    monkeypatch.setattr(model_catalogue, "MODELS", {**MODELS, "dns48": replace(MODELS["dns48"], files=(file,))})
    handler = partial(_QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def pull_arguments(mirror: str, folder: Path) -> list[str]:
    return ["models", "pull", "dns48", "--base-url", mirror, "--models-dir", str(folder)]


def test_list_names_every_model(tmp_path: Path) -> None:
    result = runner.invoke(app, ["models", "list", "--models-dir", str(tmp_path), "--json"])

    listed = json.loads(result.stdout)
    assert result.exit_code == 0
    assert [item["name"] for item in listed] == list(MODELS)
    assert {item["name"]: item["is_non_commercial"] for item in listed}["dns48"] is True


def test_list_for_people_shows_licences(tmp_path: Path) -> None:
    result = runner.invoke(app, ["models", "list", "--models-dir", str(tmp_path)], env={"COLUMNS": "200"})

    assert result.exit_code == 0
    assert "dns48" in result.stdout
    assert "CC-BY-NC-4.0" in result.stdout


def test_pull_shows_the_notice_and_installs_after_a_yes(mirror: str, tmp_path: Path) -> None:
    result = runner.invoke(app, pull_arguments(mirror, tmp_path / "models"), input="y\n")

    assert result.exit_code == 0, result.output
    assert "no commercial use" in result.stderr
    path = Path(result.stdout.splitlines()[-1])
    assert path.is_file()
    assert path.parent == (tmp_path / "models").resolve()


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_pull_without_consent_installs_nothing(mirror: str, tmp_path: Path, answer: str) -> None:
    result = runner.invoke(app, pull_arguments(mirror, tmp_path / "models"), input=answer)

    assert result.exit_code == 1
    assert "was not accepted" in result.stderr
    assert not (tmp_path / "models").exists()


def test_pull_in_a_script_accepts_the_licence_by_an_option(mirror: str, tmp_path: Path) -> None:
    result = runner.invoke(app, [*pull_arguments(mirror, tmp_path / "models"), "--accept-licence"])

    assert result.exit_code == 0, result.output
    details = runner.invoke(app, ["models", "info", "dns48", "--models-dir", str(tmp_path / "models"), "--json"])
    info = json.loads(details.stdout)
    assert info["is_installed"] is True
    assert info["files"][0]["is_verified"] is True


def test_missing_file_at_the_mirror_ends_with_status_one(mirror: str, tmp_path: Path) -> None:
    arguments = pull_arguments(f"{mirror}/elsewhere", tmp_path / "models")

    result = runner.invoke(app, [*arguments, "--accept-licence"])

    assert result.exit_code == 1
    assert "status 404" in result.stderr


def test_unknown_name_ends_with_status_one_and_the_known_ones(tmp_path: Path) -> None:
    result = runner.invoke(app, ["models", "pull", "dns49", "--models-dir", str(tmp_path)])

    assert result.exit_code == 1
    assert "dns48, dns64" in result.stderr


def test_info_tells_of_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / MODELS["dns48"].files[0].name).write_bytes(b"damaged")

    result = runner.invoke(app, ["models", "info", "dns48", "--models-dir", str(tmp_path)])

    assert result.exit_code == 0
    assert "DAMAGED" in result.stdout
    assert "licence: CC-BY-NC-4.0" in result.stdout


def test_info_of_an_alias_says_what_runs_in_its_place(tmp_path: Path) -> None:
    result = runner.invoke(app, ["models", "info", "htdemucs_quantized", "--models-dir", str(tmp_path)])

    assert result.exit_code == 0
    assert "name: htdemucs\n" in result.stdout
    assert "no quantised htdemucs" in result.stdout


def test_checkpoint_of_finally_for_another_rate_is_refused_and_nothing_installed(tmp_path: Path) -> None:
    torch.save({"state_dict": {"hifi.first.bias": torch.zeros(2)}}, tmp_path / "theirs.pth")

    result = runner.invoke(
        app,
        [
            "models",
            "convert",
            str(tmp_path / "theirs.pth"),
            "--name",
            "finally-48k",
            "--models-dir",
            str(tmp_path / "m"),
        ],
    )

    assert result.exit_code != 0
    assert "for 16000 Hz" in str(result.exception) + result.output
    assert not list((tmp_path / "m").iterdir())


def test_weights_are_converted_only_for_models_that_take_them(tmp_path: Path) -> None:
    result = runner.invoke(app, ["models", "convert", "x", "--name", "limpid-speech", "--models-dir", str(tmp_path)])

    assert result.exit_code != 0
    assert "two-stage-unet or finally-48k" in str(result.exception) + result.output
