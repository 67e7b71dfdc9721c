"""The pictures of a report: waveform and spectrogram of the recording and of each output, and peaks for players."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from core.audio.envelope import Envelope
from core.audio.pictures import draw_spectrogram, draw_waveform, top_level_db, waveform_scale
from core.audio.spectrogram import Spectrogram
from core.enhancement.produced import ProducedFile, describe_file
from core.jobs import ReportRole

BEFORE = "before"
"""The recording's own views; those of the outputs are called by their roles."""


def write_views(
    envelopes: Mapping[str, Envelope], spectrograms: Mapping[str, Spectrogram], *, base: str, workspace: Path
) -> tuple[ProducedFile, ...]:
    """Draw each subject's envelope and spectrogram into `workspace`, named like `talk.before.waveform.png`.

    All share one scale: the colours are chosen for the first view, the height of the waveforms for the largest peak.
    """
    full_scale = waveform_scale(max((envelope.peak for envelope in envelopes.values()), default=0.0))
    top_db: float | None = None
    files = []
    for subject, envelope in envelopes.items():
        spectrogram = spectrograms[subject]
        top_db = top_level_db(spectrogram) if top_db is None else top_db
        for role, content, extension, media_type in (
            (
                ReportRole.WAVEFORM,
                draw_waveform(envelope, subject, full_scale=full_scale),
                "png",
                "image/png",
            ),
            (ReportRole.SPECTROGRAM, draw_spectrogram(spectrogram, subject, top_db=top_db), "png", "image/png"),
            (ReportRole.PEAKS, envelope.as_json(), "json", "application/json"),
        ):
            path = workspace / f"{subject}.{role}.{extension}"
            path.write_bytes(content)
            files.append(
                describe_file(path, name=f"{base}.{subject}.{role}.{extension}", role=role, media_type=media_type)
            )
    return tuple(files)
