"""Synthesis results kept one by one, so that a long table of them goes on where it was interrupted.

A kept result stands for a run only if everything that decides it is the same: the Verilog, the commands, the
registers that are put to use behind them, the frequency, the seed, whether it was placed, and the tools' versions.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from s2nn.hw.spec.atomic import write_json_atomic
from s2nn.tools.environment import package_versions
from s2nn.tools.synth import YOSYS, SynthResult, mapping_commands, synthesise
from s2nn.tools.synth_targets import get_target
from s2nn.tools.synth_timing import CriticalPath


def synthesise_once(verilog: Path, top: str, *, target: str, build_dir: Path, label: str, freq_mhz: float, seed: int,
                    place_and_route: bool, on_progress: Callable[[str], None]) -> SynthResult:
    """The result kept in `build_dir` from the same run, or that of `synthesise`, which is then kept.

    Parameters and errors: see `synthesise`. The result is in `<label>-<target>.json`, written whole when it is there.
    """
    chosen = get_target(target)
    run = [*mapping_commands(verilog.name, top, chosen), *chosen.place_and_route,
           *map(dataclasses.asdict, chosen.output_registers), freq_mhz, seed, place_and_route,
           package_versions((YOSYS, chosen.place_and_route[0])),
           [field.name for field in dataclasses.fields(SynthResult)]]  # one with other fields could not be read
    key = hashlib.sha256(verilog.read_bytes() + json.dumps([top, *run], sort_keys=True).encode()).hexdigest()
    path = build_dir / f"{label}-{target}.json"
    if path.is_file():
        kept = json.loads(path.read_text())
        if kept["key"] == key:
            on_progress(f"{label}: kept from an earlier run")
            return result_from_json(kept["result"])
    result = synthesise(verilog, top, target=target, build_dir=build_dir, freq_mhz=freq_mhz, seeds=(seed,),
                        place_and_route=place_and_route, label=label, on_progress=on_progress)
    write_json_atomic(path, {"key": key, "result": dataclasses.asdict(result)})
    return result


def result_from_json(fields: dict[str, Any]) -> SynthResult:
    """Inverse of `dataclasses.asdict` on a result."""
    path = fields["critical_path"]
    return SynthResult(**{**fields, "critical_path": CriticalPath(**path) if path else None})
