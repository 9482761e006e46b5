"""Nets with residuals, averages and spike inputs: what is packed is what the golden model and torch compute."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from s2nn.hw.sim import functional
from s2nn.model.fold import fold
from s2nn.model.integer import integer_forward
from s2nn.model.lower import lower
from s2nn.model.nets import SpikingNet, named_net
from s2nn.tools.bench_engine import ROOMY
from s2nn.tools.export import export_program, load_export


@pytest.mark.parametrize(("name", "shape"), [("sew-resnet19", (3, 8, 8)), ("vggsnn", (2, 16, 16)),
                                             ("ms-resnet19", (3, 8, 8))])
def test_an_exported_net_runs_as_it_was_lowered(tmp_path, name, shape):
    config = named_net(name, width=1 / 8, input_shape=shape, time_steps=3, eta=4, pointwise_codebook=True)
    generator = torch.Generator().manual_seed(4)
    built = replace(ROOMY, current_bits=8 if config.block == "membrane" else 0)
    program = lower(fold(SpikingNet(config, generator=generator)), built, name=name)
    export_program(tmp_path, program, built, provenance={})
    loaded, _, _ = load_export(tmp_path)
    steps = (config.time_steps,) if config.spike_input else ()
    inputs = torch.randint(0, 2 if steps else 256, (2, *steps, *shape), generator=generator, dtype=torch.uint8)
    golden = functional.run(loaded, inputs.numpy())
    assert np.array_equal(golden.logits, integer_forward(program, inputs).logits.numpy())
