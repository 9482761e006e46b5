"""cocotb bench: the clock runs with the accelerator idle, to see what the simulator alone costs.

Environment: S2NN_JOB, a JSON file with cycles, clock_period_ps, data_bits, has_memory and the path of the result, which
receives {"seconds": CPU time}.
"""

import json
import os
import time
from pathlib import Path

import cocotb
from cocotb.triggers import Timer

from s2nn.hw.tb.axi_memory import AxiMemory
from s2nn.hw.tb.host import Host

_MEMORY_BYTES = 1 << 16


@cocotb.test()
async def run_clock(dut):
    """Reset, then nothing for the job's cycles."""
    job = json.loads(Path(os.environ["S2NN_JOB"]).read_text())
    period_ps = job["clock_period_ps"]
    host = Host(dut, clock_period_ps=period_ps)
    if job["has_memory"]:
        AxiMemory(dut.failed, data_bits=job["data_bits"], clock_period_ps=period_ps, size_bytes=_MEMORY_BYTES).start()
    await host.reset()
    started = time.process_time()
    await Timer(job["cycles"] * period_ps, "ps")
    seconds = time.process_time() - started
    Path(job["result"]).write_text(json.dumps({"seconds": seconds}))
