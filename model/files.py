"""JSON and safetensors files, read with every mistake named."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes

from s2nn.hw.spec.atomic import write_bytes_atomic
from s2nn.hw.spec.errors import CheckpointError


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; anything else is a CheckpointError."""
    if not path.is_file():
        raise CheckpointError("must exist", source=path)
    try:
        value = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"must be JSON ({error})", source=path) from error
    if not isinstance(value, dict):
        raise CheckpointError("must hold a JSON object", value=type(value).__name__, source=path)
    return value


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> str:
    """Write a safetensors file; returns its SHA-256."""
    data = tensors_to_bytes({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()})
    write_bytes_atomic(path, data)
    return hashlib.sha256(data).hexdigest()


def read_tensors(path: Path, *, sha256: str) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file that has this SHA-256."""
    if not path.is_file():
        raise CheckpointError("must exist", source=path)
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise CheckpointError(f"must have SHA-256 {sha256}", value=digest, source=path)
    try:
        return tensors_from_bytes(data)
    except SafetensorError as error:
        raise CheckpointError(f"must be a safetensors file ({error})", source=path) from error
