"""The results of evaluations as a JSON record, a plain table and an HTML page with players and spectrograms."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.evaluation import Evaluation, Summary

MEASURES = {
    "pesq": "PESQ",
    "stoi": "STOI",
    "estoi": "ESTOI",
    "si_sdr_db": "SI-SDR dB",
    "lsd_db": "LSD dB",
    "sig": "SIG",
    "bak": "BAK",
    "ovrl": "OVRL",
}
DECIMALS = {"stoi": 3, "estoi": 3}

STYLE = (
    "body{font:15px/1.5 system-ui;margin:2rem auto;max-width:72rem;padding:0 1rem}table{border-collapse:collapse}"
    "td,th{padding:.3rem .7rem;text-align:right;border-bottom:1px solid #ccc}"
    "td:first-child,th:first-child{text-align:left}"
    "img{max-width:100%}audio{width:18rem}"
)


def as_record(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """Return everything that was measured, ready for JSON; what is not a number becomes null."""
    return {
        evaluation.system: {
            "rtf": evaluation.rtf,
            "mean": _finite(_as_plain(evaluation)),
            "by_snr": {band: _finite(_as_plain(part)) for band, part in evaluation.by_snr_band().items()},
            "files": [_finite(asdict(file)) for file in evaluation.files],
        }
        for evaluation in evaluations
    }


def rows(evaluations: Sequence[Evaluation]) -> list[list[str]]:
    """Return the table of means: a heading row, the unprocessed input, and one row a system."""
    first = evaluations[0].summarise()
    names = [name for name in MEASURES if name in first["after"]]
    table = [["system", *(MEASURES[name] for name in names), "CPU s / s"]]
    table.append(["noisy", *(_cell(name, first["before"].get(name)) for name in names), "-"])
    for evaluation in evaluations:
        after = evaluation.summarise()["after"]
        table.append([evaluation.system, *(_cell(name, after.get(name)) for name in names), f"{evaluation.rtf:.4f}"])
    return table


def band_rows(evaluation: Evaluation) -> list[list[str]]:
    """Return the table of gains over the input by SNR band."""
    names = [name for name in MEASURES if name in evaluation.summarise()["gain"]]
    table = [["input SNR", "files", *(MEASURES[name] for name in names)]]
    for band, part in evaluation.by_snr_band().items():
        gains = part.summarise()["gain"]
        table.append([band, str(len(part.files)), *(_signed(name, gains.get(name)) for name in names)])
    return table


def html_page(evaluations: Sequence[Evaluation]) -> str:
    """Return the page: the tables, then each file with a player and a spectrogram per system.

    It refers to audio/<system>/<file>.wav and pictures/<file>.png beside it.
    """
    parts = ["<!doctype html><meta charset=utf-8><title>Evaluation</title>", f"<style>{STYLE}</style>"]
    parts += ["<h1>Evaluation</h1>", _html_table(rows(evaluations))]
    for evaluation in evaluations:
        parts += [f"<h2>{html.escape(evaluation.system)}: gain by input SNR</h2>", _html_table(band_rows(evaluation))]
    systems = ["noisy", *(evaluation.system for evaluation in evaluations)]
    for file in evaluations[0].files:
        name = html.escape(file.name, quote=True)
        parts.append(
            f"<h3>{name} ({html.escape(file.kind)})</h3><img loading=lazy src='pictures/{name}.png' alt=''><p>"
        )
        for system in (html.escape(system, quote=True) for system in systems):
            parts.append(f"{system} <audio controls preload=none src='audio/{system}/{name}.wav'></audio> ")
    return "\n".join(parts) + "\n"


def write_html(path: Path, evaluations: Sequence[Evaluation]) -> None:
    """Write the page to `path`."""
    path.write_text(html_page(evaluations), encoding="utf-8")


def _as_plain(evaluation: Evaluation) -> dict[str, Any]:
    return {
        side: {name: asdict(summary) for name, summary in summaries.items()}
        for side, summaries in evaluation.summarise().items()
    }


def _finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _cell(name: str, summary: Summary | None) -> str:
    return "-" if summary is None else f"{summary.mean:.{DECIMALS.get(name, 2)}f}"


def _signed(name: str, summary: Summary | None) -> str:
    return "-" if summary is None else f"{summary.mean:+.{DECIMALS.get(name, 2)}f}"


def _html_table(table: Sequence[Sequence[str]]) -> str:
    head, *body = table
    lines = ["<table><tr>", *(f"<th>{html.escape(cell)}</th>" for cell in head), "</tr>"]
    for row in body:
        lines += ["<tr>", *(f"<td>{html.escape(cell)}</td>" for cell in row), "</tr>"]
    return "".join([*lines, "</table>"])
