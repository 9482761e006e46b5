"""Trained nets on real digits: torch's integer forward, the golden model and the RTL agree spike for spike.

On four time lanes, so that six steps are a chunk and a half. `s2nn verify` does the same for any checkpoint.
"""

from pathlib import Path

import pytest

from s2nn.hw.spec.config import ULX3S
from s2nn.tools.campaign import RESULT_FILE, run_campaign
from s2nn.tools.rtl import RtlSimulator

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
