"""Runs the benches of the AXI memory: service at three bus widths with and without stalls, and what it refuses."""

import pytest

from s2nn.hw.tb.axi_native import cpp_sources, verilog_source
from s2nn.hw.tb.simulator import build, run

pytestmark = pytest.mark.rtl
SEED = 20261121


@pytest.fixture(scope="module")
def built(build_root):
    """A build per data width, shared by the tests of this file."""
    runners = {}

    def get(data_bits: int):
        if data_bits not in runners:
            runners[data_bits] = build(
                verilog_sources=[verilog_source()],
                toplevel="axi_memory",
                build_dir=build_root / f"axi_memory_{data_bits}",
                cpp_sources=cpp_sources(),
                parameters={"DATA_BITS": data_bits},
            )
        return runners[data_bits]

    return get


@pytest.mark.parametrize("stall_percent", [0, 30])
@pytest.mark.parametrize("data_bits", [32, 64, 128])
def test_axi_memory_serves_an_independent_master(built, tmp_path, data_bits, stall_percent):
    result = run(
        built(data_bits),
        toplevel="axi_memory",
        test_module="s2nn.hw.tb.bench_axi_memory",
        test_dir=tmp_path,
        environment={"S2NN_STALL_PERCENT": str(stall_percent)},
        seed=SEED,
    )
    assert result["tests"] == 16


@pytest.mark.parametrize("data_bits", [32, 64, 128])
def test_axi_memory_refuses_a_master_that_breaks_a_rule(built, tmp_path, data_bits):
    result = run(
        built(data_bits),
        toplevel="axi_memory",
        test_module="s2nn.hw.tb.bench_axi_rules",
        test_dir=tmp_path,
        seed=SEED,
    )
    assert result["tests"] == 24
