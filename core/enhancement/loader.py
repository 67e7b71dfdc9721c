"""From a model's name to its engine, with the weights that are installed on this machine. Nothing is fetched here."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from core.enhancement.protocol import Enhancer
from core.errors import InvalidOptions, ModelUnavailable
from core.model_catalogue import (
    Architecture,
    ModelRecord,
    Origin,
    find_alias,
    find_model,
    safetensors_of,
)
from core.presets import Precision

logger = logging.getLogger(__name__)

DEFAULT_SHIFTS = 0
DEFAULT_OVERLAP = 0.25


def load_enhancer(
    name: str,
    *,
    models_dir: Path,
    shifts: int | None = None,
    overlap: float | None = None,
    stems: Sequence[str] | None = None,
    precision: Precision = "standard",
    device: str = "cpu",
) -> Enhancer:
    """Return the engine of the model `name`.

    `shifts` (0..10), `overlap` (0..0.75) and the choice of `stems` only matter to the demucs separators; None stands
    for what an alias brings, else 0 and 0.25. `precision` "fast" matters to them and to the band-split LSTM, where the
    machine has bfloat16; the engine's `info` says whether it did. A generative model comes inside its guard.
    Raises NotFound for an unknown name, ModelUnavailable when weights or packages are missing or do not verify,
    InvalidOptions when a setting does not fit the model.
    """
    alias = find_alias(name)
    if alias is not None:
        logger.warning("model_alias_resolved", extra={"alias": name, "model": alias.target, "note": alias.note})
        shifts = alias.shifts if shifts is None else shifts
        overlap = alias.overlap if overlap is None else overlap
    record = find_model(name)
    if not record.is_installed(models_dir):
        raise ModelUnavailable(_how_to_install(record))
    if record.architecture is Architecture.DEMUCS:
        return _load_demucs(
            record,
            models_dir,
            shifts=DEFAULT_SHIFTS if shifts is None else shifts,
            overlap=DEFAULT_OVERLAP if overlap is None else overlap,
            stems=stems,
            precision=precision,
            device=device,
        )
    _check_single_output(record, stems)
    if record.architecture is Architecture.DEMUCS_CAUSAL:
        return _load_demucs_causal(record, models_dir, device=device)
    engine = _load_own(record, models_dir, precision=precision, device=device)
    if record.guarded_by is None:
        return engine
    return _guarded(engine, load_enhancer(record.guarded_by, models_dir=models_dir, device=device))


def _guarded(engine: Enhancer, fallback: Enhancer) -> Enhancer:
    from core.enhancement.drift_guard import DriftGuard
    from core.enhancement.resampled import ResampledEnhancer

    rate = engine.info.sample_rate
    return DriftGuard(
        engine, fallback if fallback.info.sample_rate == rate else ResampledEnhancer(fallback, sample_rate=rate)
    )


def _load_demucs_causal(record: ModelRecord, models_dir: Path, *, device: str) -> Enhancer:
    from core.enhancement.dns import DnsEnhancer
    from core.models.checkpoints import load_model
    from core.models.demucs_causal import VARIANTS, DemucsCausal
    from core.models.released import read_state_dict

    own = record.own_checkpoint(models_dir)
    if own is not None:
        card, network = load_model(own, architecture=record.architecture, build=DemucsCausal)
        return DnsEnhancer(
            network, name=record.name, licence=card.licence, weights_sha256=card.weights_sha256, device=device
        )
    (file,) = record.files
    state, digest = read_state_dict(models_dir / file.name, model=record.name, sha256_prefix=file.sha256_prefix)
    network = DemucsCausal.from_config(VARIANTS[record.name])
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise ModelUnavailable(f"The weights of the model {record.name!r} do not fit the network") from error
    return DnsEnhancer(network, name=record.name, licence=record.licence, weights_sha256=digest, device=device)


def _load_demucs(
    record: ModelRecord,
    models_dir: Path,
    *,
    shifts: int,
    overlap: float,
    stems: Sequence[str] | None,
    precision: Precision,
    device: str,
) -> Enhancer:
    if find_spec("demucs") is None:
        raise ModelUnavailable(f"The model {record.name!r} needs the package demucs, which is not installed")
    from core.enhancement.htdemucs import HTDemucsSeparator, make_bag
    from core.models.precision import has_fast_bfloat16
    from core.models.released import read_demucs_pickle, read_demucs_safetensors

    if record.bag is None:
        raise ValueError(f"the record of {record.name} has no bag")
    folder = record.files_dir(models_dir)
    members = []
    digests = []
    for file in record.files:
        safe = safetensors_of(folder, file)
        if safe.is_file():
            network, digest = read_demucs_safetensors(safe, model=record.name)
        else:
            network, digest = read_demucs_pickle(
                folder / file.name,
                model=record.name,
                sha256_prefix=file.sha256_prefix,
                is_quantised=record.is_quantised,
            )
        members.append(network)
        digests.append(digest)
    return HTDemucsSeparator(
        make_bag(dict(zip(dict.fromkeys(record.bag.members), members, strict=True)), record.bag),
        name=record.name,
        licence=record.licence,
        weights_sha256=combined_digest(digests),
        shifts=shifts,
        overlap=overlap,
        stems=stems,
        device=device,
        has_fast_transformer=has_fast_bfloat16(device),
        is_fast=precision == "fast" and has_fast_bfloat16(device),
    )


def _load_own(record: ModelRecord, models_dir: Path, *, precision: Precision, device: str) -> Enhancer:
    """The engine of a checkpoint in our own format: bundled, trained by the operator, or converted when pulled."""
    path = record.own_checkpoint(models_dir)
    if path is None:
        raise ModelUnavailable(_how_to_install(record))
    if record.architecture is Architecture.BAND_SPLIT_LSTM:
        from core.enhancement.band_split_lstm import BandSplitLstmEnhancer
        from core.models.precision import has_fast_bfloat16

        is_fast = precision == "fast" and has_fast_bfloat16(device)
        return BandSplitLstmEnhancer.from_checkpoint(path, device=device, is_fast=is_fast)
    if record.architecture is Architecture.TWO_STAGE_UNET:
        from core.enhancement.two_stage_unet import TwoStageUNetEnhancer

        return TwoStageUNetEnhancer.from_checkpoint(path, device=device)
    if record.architecture is Architecture.BAND_SPLIT_GENERATOR:
        from core.enhancement.band_split_generator import BandSplitGeneratorEnhancer

        return BandSplitGeneratorEnhancer.from_checkpoint(path, device=device)
    if record.architecture is Architecture.FINALLY:
        from core.enhancement.finally_speech import FinallyEnhancer

        return FinallyEnhancer.from_checkpoint(path, models_dir=models_dir, device=device)
    from core.enhancement.mask_cnn import MaskCnnEnhancer

    return MaskCnnEnhancer.from_checkpoint(path, device=device)


def _how_to_install(record: ModelRecord) -> str:
    if record.origin is Origin.BUNDLED:
        return f"The weights of the model {record.name!r}, which come with Limpid, are missing; install Limpid again"
    if record.origin is Origin.TRAINED:
        return f"The model {record.name!r} is not installed. {record.how_to_get}"
    return (
        f"The model {record.name!r} is not installed; the operator installs it with `limpid models pull {record.name}`"
    )


def _check_single_output(record: ModelRecord, stems: Sequence[str] | None) -> None:
    if stems is not None and tuple(stems) != record.stems:
        raise InvalidOptions(
            f"stems = {', '.join(stems)}: the model {record.name} has one output, {', '.join(record.stems)}."
        )


def combined_digest(digests: Sequence[str]) -> str:
    """Return the SHA-256 that stands for files of these SHA-256: of one file its own, of several that of their list."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode("ascii")).hexdigest()
