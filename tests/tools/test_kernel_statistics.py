"""`s2nn kernels`: shares, entropy and its bound against plain counting and the published table."""

import csv
import json
from collections import Counter
from math import log2

import numpy as np
import pytest
from typer.testing import CliRunner

from s2nn.hw.spec.errors import CheckpointError
from s2nn.model.checkpoint import load_checkpoint
from s2nn.tools import kernel_statistics as kernels
from s2nn.tools.cli import main
from s2nn.tools.net_statistics import PUBLISHED_KERNEL_BITS

# S2NN, arXiv 2509.24266, Tab. 5: share in percent of the 2, 4, 8, ... 128 most frequent kernels.
TABLE_5 = [(20.7, 24.4, 29.6, 37.2, 47.5, 60.8, 74.7), (21.8, 24.8, 30.0, 38.6, 50.2, 65.0, 80.0),
           (46.8, 50.2, 54.5, 60.1, 67.9, 75.7, 83.9), (15.1, 18.1, 23.6, 31.8, 43.2, 59.1, 74.7),
           (14.9, 18.6, 23.8, 31.6, 43.5, 59.9, 76.1), (14.2, 18.0, 24.6, 34.1, 47.7, 65.8, 82.3)]


@pytest.mark.parametrize(("shares", "bits"), list(zip(TABLE_5, PUBLISHED_KERNEL_BITS, strict=True)))
def test_bounds_of_the_published_shares(shares, bits):
    columns = {k: share / 100 for k, share in zip(kernels.TOP_K, shares, strict=True)}
    assert kernels.entropy_bound_bits(columns) == pytest.approx(bits, abs=0.006)


@pytest.mark.parametrize("seed", range(3))
def test_shares_and_entropy_are_those_of_counting(seed):
    patterns = np.random.default_rng(seed).geometric(0.05, size=700).clip(max=512) - 1
    counted = sorted(Counter(patterns.tolist()).values(), reverse=True)
    shares = kernels.top_shares(patterns)
    assert shares == pytest.approx({k: sum(counted[:k]) / 700 for k in kernels.TOP_K})
    entropy = -sum(n / 700 * log2(n / 700) for n in counted)
    assert entropy <= kernels.entropy_bound_bits(shares) <= 9


def test_equal_frequencies_reach_the_bound():
    assert kernels.entropy_bound_bits(kernels.top_shares(np.arange(512))) == pytest.approx(9)
    assert kernels.entropy_bound_bits(kernels.top_shares(np.zeros(4, dtype=np.int64))) == 1


@pytest.mark.parametrize("name", ["mnist5k-binary", "mnist5k-eta4"])
def test_a_shipped_net_leaves_its_files(tmp_path, name):
    result = CliRunner().invoke(main, ["kernels", name, "--out", str(tmp_path / "out"), "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document == json.loads((tmp_path / "out" / "kernels.json").read_text())
    net = load_checkpoint(name).net
    assert [layer["kernels"] for layer in document["layers"]] == [layer.weight[..., 0, 0].numel()
                                                                   for layer in net.layers[1:-1]]
    rows = list(csv.DictReader((tmp_path / "out" / "kernels.csv").open()))
    for row, layer in zip(rows, document["layers"], strict=True):
        assert float(row["top_16_percent"]) == pytest.approx(100 * layer["top_shares"]["16"], abs=0.006)
        assert layer["entropy_bits"] <= layer["entropy_bound_bits"] + 1e-9
        if name.endswith("eta4"):
            assert layer["patterns"] <= 16 and layer["top_shares"]["16"] == pytest.approx(1)
            assert layer["entropy_bits"] <= 4
    assert (tmp_path / "out" / "kernels.png").read_bytes().startswith(b"\x89PNG")
    assert CliRunner().invoke(main, ["kernels", name, "--out", str(tmp_path / "out")]).exit_code == 0


def test_a_missing_checkpoint_is_refused():
    with pytest.raises(CheckpointError, match="checkpoint must be a file or one of"):
        kernels.kernel_statistics("no-such-net")
