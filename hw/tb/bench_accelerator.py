"""cocotb bench: runs images on the accelerator with the DRAM model behind its AXI bus, as the job file says.

The job (JSON, path in S2NN_JOB) and its result are described in `s2nn.hw.tb.runner`, which writes and reads them.
"""

import json
import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from s2nn.hw.tb.axi_memory import AxiMemory
from s2nn.hw.tb.axi_rules import Fault
from s2nn.hw.tb.host import Host
from s2nn.hw.tb.stalls import AxiStalls


@cocotb.test()
async def run_job(dut):
    """Runs the job in the file that S2NN_JOB names and writes its result beside it."""
    job = json.loads(Path(os.environ["S2NN_JOB"]).read_text())
    period_ps = job["clock_period_ps"]
    dut.rst.value, dut.run_index.value = 1, 0
    host = Host(dut, clock_period_ps=period_ps)
    stalls = None
    if job["stall_probability"] > 0:
        stalls = AxiStalls.random(probability=job["stall_probability"], seed=job["seed"])
    memory = AxiMemory(dut, dut.clk, clock_period_ps=period_ps, size_bytes=job["memory_bytes"], dram=job["dram"],
                       stalls=stalls, reset=dut.rst,
                       regions=[tuple(region) for region in job["regions"]],
                       faults=[Fault(**fault) for fault in job["faults"]])
    memory.load(0, Path(job["image"]).read_bytes())
    Clock(dut.clk, period_ps, "ps").start()
    memory.start()
    await host.reset()
    for name in ("image_address", "descriptor_offset", "input_address", "output_address"):
        await host.write(name, job[name])

    runs = []
    for index, data in enumerate(np.load(job["inputs"])):
        dut.run_index.value = index
        memory.load(job["input_address"], data.tobytes())
        await RisingEdge(dut.clk)
        dram_before, axi_before = memory.finish().as_dict(), memory.counters()
        error = await host.run(timeout_cycles=job["timeout_cycles"])
        dram_after, axi_after = memory.finish().as_dict(), memory.counters()
        runs.append({
            "error": error,
            "layer": await host.read("layer"),
            "logits": memory.dump(job["output_address"], job["output_bytes"]).hex(),
            "counters": await host.counters(),
            "dram_before": dram_before, "dram_after": dram_after,
            "axi_before": axi_before, "axi_after": axi_after,
        })
        if job["clear_faults"]:
            memory.faults.clear()
    Path(job["result"]).write_text(json.dumps(runs))
