"""Two processes train one net: the same net in both, close to what one process makes of whole batches."""

import json
import os
import subprocess
import sys

import pytest
import torch

from s2nn.hw.spec.errors import ConfigError
from s2nn.model.replicas import Replicas, join_replicas

WORKER = '''
import json, sys
from dataclasses import replace
from pathlib import Path
import torch
from s2nn.model.data import load_dataset
from s2nn.model.recipe import load_recipe
from s2nn.model.replicas import join_replicas
from s2nn.model.train import train
torch.set_num_threads(1)
recipe = load_recipe("digits")
recipe = replace(recipe, epochs=3, learning_rate=0.01, net=replace(recipe.net, layers="8C3-12C3-MP2-FC"),
                 codebook=replace(recipe.codebook, start_epoch=1, period=5), gradient_clip=5.0)
seen = []
result = train(recipe, data=load_dataset("digits"), out=sys.argv[1], progress=seen.append)
rank = join_replicas("cpu")[0].rank
layers = [[float(layer.weight.double().sum()), float(layer.gain.double().sum()), float(layer.bias.double().sum())]
          for layer in result.net.layers]
Path(sys.argv[1], f"rank{rank}.json").write_text(json.dumps({
    "layers": layers, "accuracy": result.test_accuracy, "history": result.history, "told": len(seen),
    "checkpoint": result.checkpoint is not None}))
'''


@pytest.mark.slow
def test_two_processes_train_one_net(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script, tmp_path]
    threads = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=threads)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert first["layers"] == second["layers"] and first["history"] == second["history"]
    assert first["accuracy"] == second["accuracy"] > 0.75
    assert (first["told"] > 0, second["told"]) == (True, 0)
    assert (first["checkpoint"], second["checkpoint"]) == (True, False)
    assert (tmp_path / "model.safetensors").is_file()


@pytest.mark.parametrize(("count", "batch_size", "fits"), [(1, 2, True), (2, 4, True), (2, 3, False), (2, 2, False),
                                                           (3, 6, True), (4, 6, False)])
def test_a_batch_must_be_shared_evenly(count, batch_size, fits):
    replicas = Replicas(0, count)
    if fits:
        replicas.check(batch_size)
        parts = [Replicas(rank, count).share(torch.arange(batch_size)) for rank in range(count)]
        assert sorted(torch.cat(parts).tolist()) == list(range(batch_size))
        assert {len(part) for part in parts} == {batch_size // count}
    else:
        with pytest.raises(ConfigError, match=f"batch_size: must be a multiple of the {count} processes"):
            replicas.check(batch_size)


def test_without_torchrun_there_is_one_process(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    replicas, device = join_replicas("cpu")
    assert (replicas, device) == (Replicas(0, 1), torch.device("cpu"))
    value = torch.ones(3)
    replicas.average([value])
    assert value.tolist() == [1, 1, 1]
