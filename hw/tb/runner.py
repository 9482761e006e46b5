"""Runs a memory image on the RTL under Verilator and returns what the hardware did."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.sim import memory_map
from s2nn.hw.sim.dram import DEFAULT_PRESET
from s2nn.hw.spec import packing
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.errors import SimulationError
from s2nn.hw.spec.image import MemoryImage, SectionKind
from s2nn.hw.spec.registers import ErrorCode
from s2nn.hw.tb import harness, simulator
from s2nn.hw.tb.probe import Map, read_probe

#: Cycles after which a run counts as hung, per image.
TIMEOUT_CYCLES = 20_000_000


@dataclass(frozen=True, kw_only=True)
class RtlRun:
    """One image on the RTL.

    Parameters
    ----------
    error, layer : error code and layer register at the end.
    logits : (classes,) int64.
    spikes : per map in the spike buffer (the outputs of the spiking layers), (T, C, H, W) bool.
    counters : by name, as the registers held them.
    axi : bytes and bursts that crossed the bus, as the memory counted them: {"read_bytes", ..., "regions": {...}}.
    dram : statistics of the DRAM model over the run, raw counters before and after it; empty without DRAM.
    middle_cycles : of each step but the first and the last, between changes of the layer that runs.
    seconds : CPU time of the simulator from the start to the acknowledged interrupt.
    """

    error: ErrorCode
    layer: int
    logits: NDArray[np.int64]
    spikes: list[Map]
    counters: dict[str, int]
    axi: dict[str, Any]
    dram: dict[str, Any]
    middle_cycles: list[int]
    seconds: float


def simulate_rtl(config: AcceleratorConfig, design: Path, image: MemoryImage, inputs: Sequence[NDArray[np.uint8]], *,
                 build_dir: Path, run_dir: Path | None = None, stall_probability: float = 0.0, seed: int = 0,
                 dram: str | None = DEFAULT_PRESET, faults: Sequence[Mapping[str, int]] = (),
                 clear_faults: bool = False, resets: Sequence[int] = (), image_bytes: bytes | None = None,
                 timeout_cycles: int = TIMEOUT_CYCLES) -> list[RtlRun]:
    """Run each input in turn, an image (C, H, W) or spikes (T, C, H, W) uint8, without a reset between them.

    The first run reads the resident weights, the others keep them, unless the one before ended with an error.

    Parameters
    ----------
    design : folder with accelerator.v and accelerator.json, as `s2nn.hw.rtl.verilog.write_verilog` leaves it.
    build_dir : where Verilator builds; a build of the same design is reused. run_dir : logs and results of this run.
    stall_probability, seed : random stalls on every AXI channel.
    dram : preset of the memory; None answers every beat after a fixed time instead.
    faults : {"start", "end", "response"} address ranges that answer with an error; gone after the first run if
        `clear_faults`.
    resets : before the first run, start it and reset everything after so many cycles, for each of them.
    image_bytes : what to put into DRAM instead of the packed image, to see what the RTL does with a damaged one.

    Raises SimulationError if a run hangs or breaks the AXI rules. A run that ends with an error code is returned.
    """
    run_dir = Path(run_dir or build_dir).resolve()
    run_dir.mkdir(parents=True, exist_ok=True)
    content = image_bytes if image_bytes is not None else image.to_bytes()
    addresses = memory_map.place(config, image)
    packed = [np.frombuffer(packing.pack_input(config, data), dtype=np.uint8) for data in inputs]
    job = {
        "clock_period_ps": config.clock_period_ps, "data_bits": 8 * config.axi_bytes, "dram": dram,
        "memory_bytes": memory_map.memory_bytes(config, image, addresses),
        "image": str(run_dir / "image.bin"), "inputs": str(run_dir / "inputs.npy"),
        "result": str(run_dir / "result.json"), "image_address": addresses.image,
        "descriptor_offset": image.offset(SectionKind.DESCRIPTORS), "input_address": addresses.input,
        "output_address": addresses.output, "scratch_address": addresses.scratch,
        "output_bytes": config.logits_beats * config.axi_bytes,
        "regions": memory_map.regions(config, image, addresses),
        "stall_probability": stall_probability, "seed": seed, "faults": [dict(fault) for fault in faults],
        "clear_faults": clear_faults, "resets": list(resets), "timeout_cycles": timeout_cycles,
    }
    (run_dir / "image.bin").write_bytes(content)
    np.save(run_dir / "inputs.npy", np.stack(packed))
    (run_dir / "result.json").unlink(missing_ok=True)
    (run_dir / "job.json").write_text(json.dumps(job, indent=1))

    runner = harness.build_harness(design, Path(build_dir), clock_period_ps=config.clock_period_ps)
    probe_log = run_dir / "probe.log"
    simulator.run(runner, toplevel=harness.TOP, test_module="s2nn.hw.tb.bench_accelerator", test_dir=run_dir,
                  environment={"S2NN_JOB": str(run_dir / "job.json")}, seed=seed,
                  test_args=[f"+probe_log={probe_log}"])
    results = json.loads((run_dir / "result.json").read_text())
    spikes = read_probe(config, design / "accelerator.json", probe_log, image, len(results))
    return [_result(image, result, maps) for result, maps in zip(results, spikes, strict=True)]


def run_clock(design: Path, *, build_dir: Path, run_dir: Path, clock_period_ps: int, cycles: int,
              has_memory: bool) -> float:
    """CPU seconds of the simulator for clock cycles in which the design does nothing, with or without memory."""
    run_dir = run_dir.resolve()
    run_dir.mkdir(parents=True, exist_ok=True)
    side = json.loads((design / "accelerator.json").read_text())
    data_bits = next(port["width"] for port in side["ports"] if port["name"] == "m_axi_rdata")
    job = {"clock_period_ps": clock_period_ps, "data_bits": data_bits, "cycles": cycles, "has_memory": has_memory,
           "result": str(run_dir / "result.json")}
    (run_dir / "job.json").write_text(json.dumps(job, indent=1))
    runner = harness.build_harness(design, build_dir, clock_period_ps=clock_period_ps, has_memory=has_memory)
    simulator.run(runner, toplevel=harness.TOP, test_module="s2nn.hw.tb.bench_clock", test_dir=run_dir,
                  environment={"S2NN_JOB": str(run_dir / "job.json")})
    return json.loads((run_dir / "result.json").read_text())["seconds"]


def _result(image: MemoryImage, result: dict[str, Any], spikes: list[Map]) -> RtlRun:
    before, after = result["before"], result["after"]
    try:
        error = ErrorCode(result["error"])
    except ValueError as unknown:
        raise SimulationError("the error register must hold a known code", value=result["error"]) from unknown
    return RtlRun(
        error=error, layer=result["layer"], counters=result["counters"],
        logits=packing.unpack_logits(bytes.fromhex(result["logits"]), num_classes=len(result["logits"]) // 8),
        spikes=spikes, axi=_difference(after["axi"], before["axi"]),
        dram={"before": before["dram"], "after": after["dram"]}, seconds=result["seconds"],
        middle_cycles=[end - start for start, end in pairwise(result["layer_changes"])])


def _difference(after: Any, before: Any) -> Any:
    """Counters of one run from the totals after and before it."""
    if isinstance(after, dict):
        return {key: _difference(value, before[key]) for key, value in after.items()}
    return after - before
