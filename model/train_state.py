"""Training checkpoints: everything a run needs to go on as if it had never stopped.

    <folder>/state-<epoch>.safetensors   net.*, adam.<parameter>.<moment>, rng
    <folder>/state.json                  epoch, recipe, history, name and SHA-256 of the tensor file

The JSON is written last and names its tensor file, so a crash at any moment leaves the older checkpoint valid.
"""

from pathlib import Path
from typing import Any

import torch

from s2nn.hw.spec.atomic import write_json_atomic
from s2nn.hw.spec.errors import CheckpointError
from s2nn.model.files import read_json, read_tensors, write_tensors
from s2nn.model.recipe import Recipe

STATE_FORMAT = "s2nn-training-state"
STATE_VERSION = 1
STATE_FILE = "state.json"


def save_state(folder: Path, *, net: torch.nn.Module, optimiser: torch.optim.Adam, generator: torch.Generator,
               epoch: int, recipe: Recipe, history: list[dict[str, Any]]) -> None:
    """Store the state after `epoch` epochs and drop older ones."""
    tensors = {f"net.{name}": value for name, value in net.state_dict().items()}
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    for parameter, moments in optimiser.state.items():
        for moment, value in moments.items():
            tensors[f"adam.{names[id(parameter)]}.{moment}"] = value
    tensors["rng"] = generator.get_state()
    path = folder / f"state-{epoch}.safetensors"
    digest = write_tensors(path, tensors)
    write_json_atomic(folder / STATE_FILE, {"format": STATE_FORMAT, "version": STATE_VERSION, "epoch": epoch,
                                     "tensors": path.name, "sha256": digest, "recipe_digest": recipe.digest,
                                     "recipe": recipe.as_dict(), "history": history})
    for old in folder.glob("state-*.safetensors"):
        if old.name != path.name:
            old.unlink()


def has_state(folder: Path) -> bool:
    """Whether a run has left a state here."""
    return (folder / STATE_FILE).is_file()


def load_state(folder: Path, *, net: torch.nn.Module, optimiser: torch.optim.Adam, generator: torch.Generator,
               recipe: Recipe) -> tuple[int, list[dict[str, Any]]]:
    """Restore net, optimiser and generator in place; returns (epochs done, history)."""
    path = folder / STATE_FILE
    meta = read_json(path)
    for field, expected in (("format", STATE_FORMAT), ("version", STATE_VERSION), ("recipe_digest", recipe.digest)):
        if meta.get(field) != expected:
            raise CheckpointError(f"must be {expected!r} to be resumed by this run", value=meta.get(field), field=field,
                                  source=path)
    for field, kind in (("epoch", int), ("tensors", str), ("sha256", str), ("history", list)):
        if not isinstance(meta.get(field), kind):
            raise CheckpointError(f"must be of type {kind.__name__}", value=meta.get(field), field=field, source=path)
    tensors = read_tensors(folder / Path(meta["tensors"]).name, sha256=meta["sha256"])
    try:
        net.load_state_dict({name[4:]: value for name, value in tensors.items() if name.startswith("net.")})
        generator.set_state(tensors["rng"])
    except (RuntimeError, KeyError) as error:
        raise CheckpointError(f"must hold the state of this net ({error})", source=path) from error
    for name, parameter in net.named_parameters():
        prefix = f"adam.{name}."
        moments = {key[len(prefix):]: value for key, value in tensors.items() if key.startswith(prefix)}
        if moments:  # Adam keeps its step counter on the CPU
            optimiser.state[parameter] = {key: value if key == "step" else value.to(parameter.device)
                                          for key, value in moments.items()}
    return meta["epoch"], meta["history"]
