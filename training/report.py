"""The results of evaluations as a JSON record, a plain table and an HTML page with players and spectrograms."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.comparison import compare, compare_by_snr
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
    "sdr_db": "SDR dB",
    "sir_db": "SIR dB",
    "sar_db": "SAR dB",
}
DECIMALS = {"stoi": 3, "estoi": 3}

STYLE = (
    "body{font:15px/1.5 system-ui;margin:2rem auto;max-width:72rem;padding:0 1rem}table{border-collapse:collapse}"
    "td,th{padding:.3rem .7rem;text-align:right;border-bottom:1px solid #ccc}"
    "td:first-child,th:first-child{text-align:left}"
    "img{max-width:100%}audio{width:18rem}"
)


def as_record(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """Return everything that was measured, ready for JSON; what is not a number becomes null.

    Every system after the first has under `against` its differences from the first, see `compare`.
    """
    first = evaluations[0] if evaluations else None
    return {
        evaluation.system: {
            "rtf": evaluation.rtf,
            "mean": _finite(_as_plain(evaluation)),
            "by_snr": {band: _finite(_as_plain(part)) for band, part in evaluation.by_snr_band().items()},
            "by_kind": {kind: _finite(_as_plain(part)) for kind, part in evaluation.by_kind().items()},
            "against": _against(first, evaluation) if first is not None and evaluation is not first else None,
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


def comparison_rows(first: Evaluation, second: Evaluation) -> list[list[str]]:
    """Return the table of the differences `second` - `first` with their 95 % intervals, file by file."""
    table = [["measure", "difference", "95 % interval", "files"]]
    differences = compare(first, second)
    for name, label in MEASURES.items():
        if name in differences:
            found = differences[name]
            decimals = DECIMALS.get(name, 2)
            interval = f"{found.low:+.{decimals}f} .. {found.high:+.{decimals}f}"
            table.append([label, _signed(name, found), interval, str(found.files)])
    return table


def kind_rows(evaluation: Evaluation) -> list[list[str]]:
    """Return the table of means by kind of recording: for separators, by stem."""
    names = [name for name in MEASURES if name in evaluation.summarise()["after"]]
    table = [["kind", "files", *(MEASURES[name] for name in names)]]
    for kind, part in evaluation.by_kind().items():
        after = part.summarise()["after"]
        table.append([kind, str(len(part.files)), *(_cell(name, after.get(name)) for name in names)])
    return table


def tables(evaluations: Sequence[Evaluation]) -> list[tuple[str, list[list[str]]]]:
    """Return every table with its title: means, then by system what there is to say of bands, kinds and differences."""
    first, *others = evaluations
    titled = [("Means", rows(evaluations))]
    for evaluation in evaluations:
        if evaluation.by_snr_band():
            titled.append((f"{evaluation.system}: gain by input SNR", band_rows(evaluation)))
        if len(evaluation.by_kind()) > 1:
            titled.append((f"{evaluation.system}: by kind", kind_rows(evaluation)))
    for other in others:
        titled.append((f"{other.system} against {first.system}", comparison_rows(first, other)))
    return titled


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
    parts.append("<h1>Evaluation</h1>")
    for title, content in tables(evaluations):
        parts += [f"<h2>{html.escape(title)}</h2>", _html_table(content)]
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


def _against(first: Evaluation, second: Evaluation) -> dict[str, Any]:
    bands = compare_by_snr(first, second)
    return {
        "system": first.system,
        "mean": {name: _finite(asdict(summary)) for name, summary in compare(first, second).items()},
        "by_snr": {
            band: {name: _finite(asdict(summary)) for name, summary in found.items()} for band, found in bands.items()
        },
    }


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
