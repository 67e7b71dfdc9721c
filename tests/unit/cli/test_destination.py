"""Where results of `limpid enhance` go, and what is refused before any work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli.destination import plan_destination, refuse_overwriting
from cli.errors import CommandError


def test_existing_folder_receives_the_pipeline_s_names(tmp_path: Path) -> None:
    destination = plan_destination(str(tmp_path), [Path("talk.wav")])

    target = destination.path_for("talk.enhanced.wav", role="enhanced", main_role="enhanced")

    assert target == tmp_path / "talk.enhanced.wav"


def test_trailing_slash_makes_a_folder_of_what_does_not_exist_yet(tmp_path: Path) -> None:
    assert plan_destination(f"{tmp_path}/new/", [Path("talk.wav")]).file is None


def test_file_receives_the_main_output_and_the_residual_lies_beside_it(tmp_path: Path) -> None:
    destination = plan_destination(str(tmp_path / "out.flac"), [Path("talk.wav")])

    main = destination.path_for("talk.enhanced.flac", role="enhanced", main_role="enhanced")
    residual = destination.path_for("talk.residual.flac", role="residual", main_role="enhanced")

    assert (main.name, residual.name) == ("out.flac", "out.residual.flac")
    assert main.parent == residual.parent == tmp_path


def test_several_inputs_cannot_become_one_file(tmp_path: Path) -> None:
    existing = tmp_path / "out.wav"
    existing.touch()

    with pytest.raises(CommandError, match="must be a folder"):
        plan_destination(str(existing), [Path("a.wav"), Path("b.wav")])


def test_inputs_of_equal_stem_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"one/talk\.wav and two/talk\.flac"):
        plan_destination(str(tmp_path), [Path("one/talk.wav"), Path("two/talk.flac")])


def test_name_without_a_format_is_a_folder(tmp_path: Path) -> None:
    destination = plan_destination(str(tmp_path / "results"), [Path("talk.wav")])

    assert (destination.folder, destination.file) == (tmp_path / "results", None)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_input_is_not_overwritten_under_another_name(tmp_path: Path, link: object) -> None:
    source, alias = tmp_path / "talk.wav", tmp_path / "alias.wav"
    source.write_bytes(b"audio")
    link(source, alias)  # type: ignore[operator]

    with pytest.raises(CommandError, match="will not be overwritten"):
        refuse_overwriting(alias, [source])


def test_new_file_beside_the_input_is_allowed(tmp_path: Path) -> None:
    source = tmp_path / "talk.wav"
    source.write_bytes(b"audio")

    refuse_overwriting(tmp_path / "talk.enhanced.wav", [source])
