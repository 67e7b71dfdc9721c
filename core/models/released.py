"""Reading weights that others have released: their hash is checked, and nothing in the file gets to run.

A released denoiser file is a bare state dict. A released demucs file is a pickle of class, arguments and half-precision
state, or a safetensors file that names its class in the metadata; either may only name what is listed here.

Errors are ModelUnavailable and name the model, never a path of the server.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import torch
from torch import Tensor

from core.errors import ModelUnavailable

if TYPE_CHECKING:
    from demucs.apply import Model

DEMUCS_CLASSES = ("demucs.htdemucs.HTDemucs", "demucs.hdemucs.HDemucs", "demucs.demucs.Demucs")
_QUANTIZER_CLASSES = ("diffq.diffq.DiffQuantizer", "diffq.uniform.UniformQuantizer")

_NUMPY_SCALAR = np.float64(0).__reduce__()[0]
# The arguments and metrics in the released pickles hold fractions and NumPy scalars, under NumPy 1's module name.
_HARMLESS_GLOBALS: tuple[Any, ...] = (
    Fraction,
    np.dtype,
    type(np.dtype(np.float64)),
    type(np.dtype(np.float32)),
    type(np.dtype(np.int64)),
    (_NUMPY_SCALAR, "numpy._core.multiarray.scalar"),
    (_NUMPY_SCALAR, "numpy.core.multiarray.scalar"),
)


def read_verified(path: Path, *, model: str, sha256_prefix: str = "") -> tuple[bytes, str]:
    """Return the file's bytes and their SHA-256 as hex digits, which must begin with `sha256_prefix`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelUnavailable(f"The weights of the model {model!r} cannot be read ({type(error).__name__})") from error
    digest = hashlib.sha256(data).hexdigest()
    if not digest.startswith(sha256_prefix):
        raise ModelUnavailable(
            f"The weights of the model {model!r} do not verify: SHA-256 {digest[:16]}…, expected {sha256_prefix}…; "
            f"remove them and run `limpid models pull {model}` again"
        )
    return data, digest


def read_state_dict(path: Path, *, model: str, sha256_prefix: str) -> tuple[dict[str, Tensor], str]:
    """Return tensors by name and SHA-256 of a released file that is a bare state dict, and nothing but that."""
    data, digest = read_verified(path, model=model, sha256_prefix=sha256_prefix)
    content = load_tensors_only(data, model=model)
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise ModelUnavailable(f"The weights of the model {model!r} are no mapping of names to tensors")
    return dict(content), digest


def read_demucs_pickle(path: Path, *, model: str, sha256_prefix: str, is_quantised: bool = False) -> tuple[Model, str]:
    """Return network and SHA-256 of a released demucs `.th` file. Quantised ones need the package diffq."""
    from demucs.states import load_model

    data, digest = read_verified(path, model=model, sha256_prefix=sha256_prefix)
    networks = tuple(_resolve(name) for name in DEMUCS_CLASSES)
    try:
        quantizers = tuple(_resolve(name) for name in _QUANTIZER_CLASSES) if is_quantised else ()
    except ImportError as error:
        raise ModelUnavailable(f"The quantised model {model!r} needs the package diffq, which is missing") from error
    package = load_tensors_only(data, model=model, allowed=(*networks, *quantizers, *_HARMLESS_GLOBALS))
    is_package = isinstance(package, dict) and {"klass", "args", "kwargs", "state"} <= set(package)
    if not is_package or package["klass"] not in networks:
        raise ModelUnavailable(f"The weights of the model {model!r} are no demucs model")
    try:
        return load_model(package), digest  # type: ignore[no-untyped-call]
    except (SystemExit, RuntimeError, TypeError) as error:  # demucs exits the process on some faults
        raise ModelUnavailable(f"demucs cannot load the model {model!r}") from error


def read_demucs_safetensors(path: Path, *, model: str) -> tuple[Model, str]:
    """Return network and SHA-256 of a demucs member in safetensors form, whose metadata names class and arguments."""
    from demucs.hf import load_safetensors_model

    _, digest = read_verified(path, model=model)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except safetensors.SafetensorError as error:
        raise ModelUnavailable(f"The weights of the model {model!r} are no safetensors file") from error
    # demucs imports whatever the metadata names: `klass` itself, and any class within a `structure`.
    if metadata.get("klass") not in DEMUCS_CLASSES or "structure" in metadata:
        raise ModelUnavailable(f"The weights of the model {model!r} name a class other than demucs' own networks")
    try:
        return load_safetensors_model(path), digest
    except (SystemExit, RuntimeError, TypeError, KeyError, ValueError) as error:
        raise ModelUnavailable(f"demucs cannot load the model {model!r}") from error


def load_tensors_only(data: bytes, *, model: str, allowed: tuple[Any, ...] = ()) -> Any:  # noqa: ANN401
    """Return what `torch.load` finds in `data`, of which only tensors, plain containers and `allowed` may be made."""
    try:
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise ModelUnavailable(
            f"The weights of the model {model!r} are no PyTorch file, or hold more than tensors"
        ) from error


def _resolve(name: str) -> Any:  # noqa: ANN401
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)
