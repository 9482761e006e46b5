"""cocotb bench: runs images on the accelerator with the AXI memory behind its bus, as the job file says.

The job (JSON, path in S2NN_JOB) and its result are described in `s2nn.hw.tb.runner`, which writes and reads them.
"""

import json
import os
import time
from pathlib import Path

import cocotb
import numpy as np
from cocotb.simtime import get_sim_time
from cocotb.triggers import RisingEdge

from s2nn.hw.sim.axi import AxiStalls, Fault, Response
from s2nn.hw.spec.registers import Control, ErrorCode
from s2nn.hw.tb.axi_memory import AxiMemory
from s2nn.hw.tb.host import Host


@cocotb.test()
async def run_job(dut):
    """Runs the job in the file that S2NN_JOB names and writes its result beside it."""
    job = json.loads(Path(os.environ["S2NN_JOB"]).read_text())
    period_ps = job["clock_period_ps"]
    dut.rst.value, dut.run_index.value = 1, 0
    host = Host(dut, clock_period_ps=period_ps)
    memory = AxiMemory(dut.failed, data_bits=job["data_bits"], clock_period_ps=period_ps,
                       size_bytes=job["memory_bytes"], dram=job["dram"],
                       stalls=AxiStalls(probability=job["stall_probability"], seed=job["seed"]),
                       regions=[tuple(region) for region in job["regions"]],
                       faults=[Fault(start=fault["start"], end=fault["end"], response=Response(fault["response"]))
                               for fault in job["faults"]])
    memory.load(0, Path(job["image"]).read_bytes())
    memory.start()
    await _set_up(host, job)
    memory.load(job["input_address"], np.load(job["inputs"])[0].tobytes())
    for cycles in job["resets"]:
        await host.write("control", Control.START)
        for _ in range(cycles):
            await RisingEdge(dut.clk)
        await _set_up(host, job)

    changes: list[int] = []
    cocotb.start_soon(_watch_layers(dut, changes, period_ps))
    runs = []
    for index, data in enumerate(np.load(job["inputs"])):
        dut.run_index.value = index
        memory.load(job["input_address"], data.tobytes())
        await RisingEdge(dut.clk)
        before = _counted(memory)
        changes.clear()
        started = time.process_time()
        keep_weights = bool(runs) and runs[-1]["error"] == ErrorCode.NONE
        error = await host.run(timeout_cycles=job["timeout_cycles"], keep_weights=keep_weights)
        seconds = time.process_time() - started
        after = _counted(memory)
        runs.append({
            "error": error,
            "layer": await host.read("layer"),
            "logits": memory.dump(job["output_address"], job["output_bytes"]).hex(),
            "counters": await host.counters(),
            "before": before, "after": after, "layer_changes": list(changes),
            "seconds": seconds,
        })
        if job["clear_faults"]:
            memory.faults = ()
    Path(job["result"]).write_text(json.dumps(runs))


async def _set_up(host: Host, job: dict[str, int]):
    """Reset, and the addresses of a run."""
    await host.reset()
    for name in ("image_address", "descriptor_offset", "input_address", "output_address", "scratch_address"):
        await host.write(name, job[name])


async def _watch_layers(dut, changes: list[int], period_ps: int):
    """Append the clock edge at which each layer but the first begins."""
    while True:
        await dut.layer.value_change
        if int(dut.layer.value):
            changes.append(int(get_sim_time("step")) // period_ps)


def _counted(memory: AxiMemory) -> dict[str, object]:
    """What bus and DRAM have counted so far."""
    stats = memory.finish()
    return {"axi": memory.counters(), "dram": {} if stats is None else stats.as_dict()}
