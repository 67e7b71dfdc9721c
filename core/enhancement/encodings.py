"""Which audio files a run writes: every result in every format that was asked for, and copies to listen to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.audio.encode import LIMITS, AudioWriter
from core.audio.formats import AudioProbe, default_subtype, extension_for, media_type_for
from core.enhancement.prepare import Prepared
from core.enhancement.produced import ProducedFile, describe_file
from core.enhancement.views import BEFORE
from core.jobs import ReportRole
from core.options import EnhanceOptions

_STREAMED_CONTAINERS = frozenset({"wav", "rf64"})
_STREAMED_SUBTYPES = frozenset({"PCM_16", "PCM_24", "PCM_32", "FLOAT"})


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """One file to be written: `signal` (the recording, a stem, the residual), and its `role` among the outputs."""

    signal: str
    role: str
    name: str
    path: Path
    format: str
    subtype: str


def plan_encodings(
    prepared: Prepared, roles: Sequence[str], *, options: EnhanceOptions, base: str, workspace: Path
) -> list[Encoding]:
    """Every role in every format: `talk.enhanced.wav`; the output's number is added where one format comes twice."""
    formats = [spec.format for spec in options.outputs]
    encodings = []
    for role in roles:
        for number, spec in enumerate(options.outputs):
            extension = extension_for(spec.format)
            mark = f".{number + 1}" if formats.index(spec.format) != number else ""
            encodings.append(
                Encoding(
                    signal=role,
                    role=role,
                    name=f"{base}.{role}{mark}{extension}",
                    path=workspace / f"{role}.{number}{extension}",
                    format=spec.format,
                    subtype=spec.subtype or _subtype_like(prepared.probe, spec.format),
                )
            )
    return encodings


def plan_listening_copies(
    prepared: Prepared, roles: Sequence[str], encodings: Sequence[Encoding], *, base: str, workspace: Path
) -> list[Encoding]:
    """A WAV file of the recording and of each role that there is none of yet: `talk.before.listening.wav`.

    A player can read those from any sample on, which compressed files do not allow.
    """
    there = {encoding.signal for encoding in encodings if encoding.format == "wav"}
    if is_streamed(prepared.probe):
        there.add(BEFORE)
    return [
        Encoding(
            signal=signal,
            role=ReportRole.LISTENING,
            name=f"{base}.{signal}.{ReportRole.LISTENING}.wav",
            path=workspace / f"{signal}.{ReportRole.LISTENING}.wav",
            format="wav",
            subtype=default_subtype(prepared.probe),
        )
        for signal in (BEFORE, *roles)
        if signal not in there
    ]


def is_streamed(probe: AudioProbe) -> bool:
    """True when the recording as it was sent is a file that players read from any sample on."""
    return probe.format in _STREAMED_CONTAINERS and probe.subtype in _STREAMED_SUBTYPES


def base_name(input_name: str) -> str:
    """What the names of a job's files begin with."""
    return Path(input_name).stem or "audio"


def open_writer(encoding: Encoding, prepared: Prepared) -> AudioWriter:
    """A writer of `encoding` at the recording's rate, channels and length; results carry its tags and cover too."""
    native = prepared.native
    is_result = encoding.role == encoding.signal
    return AudioWriter(
        encoding.path,
        encoding.format,
        sample_rate=native.sample_rate,
        channels=native.channels,
        subtype=encoding.subtype,
        frames=native.frames,
        tags=prepared.tags if is_result else {},
        cover=prepared.cover if is_result else None,
    )


def produced(encoding: Encoding) -> ProducedFile:
    """The finished file."""
    return describe_file(
        encoding.path, name=encoding.name, role=encoding.role, media_type=media_type_for(encoding.format)
    )


def _subtype_like(probe: AudioProbe, output_format: str) -> str:
    """The source's depth, or the deepest that the format has (FLAC knows no float)."""
    subtype = default_subtype(probe)
    subtypes = LIMITS[output_format].subtypes
    return subtype if subtype in subtypes else subtypes[-1]
