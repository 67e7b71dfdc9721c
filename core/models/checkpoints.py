"""Checkpoints: weights as safetensors beside a JSON card that says what they are and how to build the network.

    <name>.safetensors   tensors only, nothing that runs on loading
    <name>.json          CheckpointCard; written last, so that its SHA-256 commits the pair

Errors name the model, never a path of the server.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import safetensors
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from core.atomic_files import write_atomically
from core.errors import ModelUnavailable

FORMAT_VERSION = 1
BUNDLED_WEIGHTS = Path(__file__).parent / "weights"

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class CheckpointCard:
    """What a weights file is.

    `arguments` rebuild the network (STFT settings and feature switches included). `reference_level_db` is the RMS level
    in dBFS to which a recording is scaled before the network and back after it; None when the network takes any level.
    `metrics` are the figures that the run reported, by name.
    """

    name: str
    architecture: str
    arguments: Mapping[str, Any]
    sample_rate: int  # Hz
    licence: str
    run_id: str
    reference_level_db: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    weights_sha256: str = ""
    format_version: int = FORMAT_VERSION


def card_path(weights_path: Path) -> Path:
    """Return where the card of `weights_path` lies."""
    return weights_path.with_suffix(".json")


def bundled_checkpoint(name: str) -> Path:
    """Return where the weights of the bundled model `name` lie; they need not exist."""
    return BUNDLED_WEIGHTS / f"{name}.safetensors"


def save_checkpoint(path: Path, state: Mapping[str, Tensor], *, card: CheckpointCard) -> CheckpointCard:
    """Write `state` and its card, each by rename; return the card with the SHA-256 of the weights filled in.

    A crash between the two renames leaves weights that do not match the old card, which `load_checkpoint` refuses.
    """
    data = save_tensors({key: tensor.detach().cpu().contiguous() for key, tensor in state.items()})
    card = replace(card, weights_sha256=hashlib.sha256(data).hexdigest())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data)
    write_atomically(card_path(path), (json.dumps(asdict(card), indent=2, sort_keys=True) + "\n").encode())
    return card


def read_card(path: Path) -> CheckpointCard:
    """Return the card of the weights at `path`; ModelUnavailable when it is absent or cannot be understood."""
    name = path.stem
    try:
        record = json.loads(card_path(path).read_bytes())
    except FileNotFoundError:
        raise ModelUnavailable(f"The model {name!r} is not installed: its card is missing") from None
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"The card of the model {name!r} cannot be read ({type(error).__name__})") from error
    if not isinstance(record, dict) or record.get("format_version") != FORMAT_VERSION:
        version = record.get("format_version") if isinstance(record, dict) else None
        raise ModelUnavailable(f"The card of the model {name!r} has format {version!r}, expected {FORMAT_VERSION}")
    known = {item.name for item in fields(CheckpointCard)}
    try:
        return CheckpointCard(**{key: value for key, value in record.items() if key in known})
    except TypeError as error:
        raise ModelUnavailable(f"The card of the model {name!r} is incomplete") from error


def load_checkpoint(path: Path) -> tuple[CheckpointCard, dict[str, Tensor]]:
    """Return card and tensors of the weights at `path`, after comparing their SHA-256 with the card's."""
    card = read_card(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelUnavailable(f"The weights of the model {card.name!r} are not installed") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != card.weights_sha256:
        raise ModelUnavailable(
            f"The weights of the model {card.name!r} do not verify: SHA-256 {digest[:12]}…, "
            f"expected {card.weights_sha256[:12]}…; install the model again"
        )
    try:
        return card, load_tensors(data)
    except safetensors.SafetensorError as error:
        raise ModelUnavailable(f"The weights of the model {card.name!r} are no safetensors file") from error


def load_model(path: Path, *, architecture: str, build: Callable[..., Network]) -> tuple[CheckpointCard, Network]:
    """Return card and network of the weights at `path`, in evaluation mode.

    `build` receives the card's arguments. ModelUnavailable when the card names another architecture, its arguments do
    not fit, or the tensors are not exactly those of the network.
    """
    card, state = load_checkpoint(path)
    if card.architecture != architecture:
        raise ModelUnavailable(f"The model {card.name!r} is a {card.architecture!r}, expected {architecture!r}")
    try:
        network = build(**card.arguments)
    except (TypeError, ValueError) as error:
        raise ModelUnavailable(f"The card of the model {card.name!r} has arguments that do not fit: {error}") from error
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise ModelUnavailable(f"The weights of the model {card.name!r} do not fit the network") from error
    return card, network.eval()
