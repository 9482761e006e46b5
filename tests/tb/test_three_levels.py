"""Trained nets on real digits: torch's integer forward, the golden model and the RTL agree spike for spike.

On four time lanes, so that six steps are a chunk and a half. `s2nn verify` does the same for any checkpoint.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from s2nn.hw.sim import memory_map
from s2nn.hw.spec.build import build_image
from s2nn.hw.spec.config import ULX3S
from s2nn.model.lower import lower
from s2nn.model.nets import NetConfig
from s2nn.tools.campaign import RESULT_FILE, run_campaign
from s2nn.tools.rtl import RtlSimulator
from s2nn.tools.simulation import run_golden
from s2nn.tools.verify import compare_with_torch
from tests.model.conftest import make_folded, random_inputs
from tests.tb.levels import hold_levels

pytestmark = pytest.mark.rtl
NETS = Path(__file__).parent / "nets"
SEED = 5  # of the stalls


@pytest.mark.parametrize("weights", ["binary", "eta4", "eta6"])
def test_torch_golden_model_and_rtl_agree(rtl_build_dir, tmp_path, weights):
    results = run_campaign(
        [str(NETS / f"digits-{weights}")], ULX3S, steps=[4, 6], stalls=[0.0, 0.3], images=8, out=tmp_path,
        simulator=lambda p: RtlSimulator(build_dir=rtl_build_dir, stall_probability=p, seed=SEED))
    assert [(r.steps, r.stall_probability) for r in results] == [(4, 0.0), (4, 0.3), (6, 0.0), (6, 0.3)]
    for result in results:
        assert not result.failures, f"seed {SEED}"
        assert 0.02 < result.fired / result.spikes < 0.5
    assert (tmp_path / RESULT_FILE).is_file()


@pytest.mark.parametrize("stall_probability", [0.0, 0.2])
def test_ms_resnet_agrees_on_all_levels(rtl_build_dir, tmp_path, stall_probability):
    """Lowered from floats: a block behind the stem, one with a strided 1x1 shortcut, and one behind that."""
    config = replace(ULX3S, name="ulx3s-shortcuts", current_bits=8)
    net = NetConfig(input_shape=(1, 8, 8), layers="12C3-12B-20BS2-20B-GAP-FC", block="membrane", classes=4,
                    time_steps=6, eta=4)
    program = lower(make_folded(net, 3, least_gain=0.3), config, name="ms-resnet")
    inputs = random_inputs(net, 2, generator=torch.Generator().manual_seed(SEED)).numpy()
    hold_levels(config, program, inputs, build_dir=rtl_build_dir, run_dir=tmp_path, seed=SEED,
                stall_probability=stall_probability)
    image = build_image(config, program)
    golden = run_golden(config, program, image, inputs, addresses=memory_map.place(config, image))
    assert not compare_with_torch(program, inputs, golden).failures
    assert all(0.02 < layer.spikes.mean() < 0.9 for layer, stage in zip(golden.result.layers, net.stages(), strict=True)
               if stage.fires)
