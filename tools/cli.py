"""The command line of s2nn. Each command parses its options and calls one function; heavy imports happen inside.

Commands around DRAM are in `cli_memory`, those on nets of full size in `cli_grid`, about nets as such in `cli_nets`,
on training in `cli_training`, measurements in `cli_bench`, proofs in `cli_formal`.

Bad input ends a command with the rule, the value and where it was found, and exit status 1; `--json` puts one JSON
document on standard output, and nothing else.
"""

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from s2nn.hw.spec.errors import ConfigError, SimulationError
from s2nn.tools import cli_bench, cli_formal, cli_grid, cli_memory, cli_nets, cli_training
from s2nn.tools.cli_options import BUILD, DEFAULT_CONFIG, Build, Changes, Config, Data, Json, accelerator
from s2nn.tools.console import EXIT_REFUSED, Output, refuses_bad_input

RUNS = BUILD / "run"

main = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich",
                   help="Spiking nets below one bit per weight: training, RTL, DRAM and energy against a fair 1-bit "
                        "baseline. A first run: [bold]s2nn run[/bold]")
main.add_typer(cli_memory.commands)
main.add_typer(cli_grid.commands)
main.add_typer(cli_nets.commands)
main.add_typer(cli_training.commands)
main.add_typer(cli_formal.commands)
main.add_typer(cli_bench.commands, name="bench")


class RunLevel(StrEnum):
    """What runs a net."""

    rtl = "rtl"
    engine = "engine"


class Level(StrEnum):
    """How `sim` runs a program."""

    functional = "functional"
    engine = "engine"
    rtl = "rtl"


Checkpoints = Annotated[list[str] | None, typer.Argument(
    help="Shipped names or paths, the baseline first.", show_default="the shipped 1-bit and sub-bit nets")]
Stalls = Annotated[float, typer.Option("--stalls", min=0, max=0.9, help="Probability of random stalls on AXI.")]
Seed = Annotated[int, typer.Option("--seed", help="Of everything random in this command.")]


@main.command()
@refuses_bad_input
def run(checkpoints: Checkpoints = None, *, images: Annotated[int, typer.Option(min=1, help="Test images.")] = 8,
        level: Annotated[RunLevel, typer.Option(help="RTL, or the cycle engine: same counts.")] = RunLevel.rtl,
        config: Config = DEFAULT_CONFIG, changes: Changes = None,
        out: Annotated[Path | None, typer.Option(help="Folder of the run.")] = None,
        build: Build = BUILD / "rtl", stalls: Stalls = 0.0, seed: Seed = 0, data: Data = None,
        as_json: Json = False) -> None:
    """Simulate nets on the RTL side by side, check them against the golden model, and show what they cost.

    Example: s2nn run --images 16
    """
    from s2nn.tools.engine import EngineSimulator
    from s2nn.tools.lowering import DEFAULT_PAIR, common_workload, lower_checkpoint
    from s2nn.tools.rtl import RtlSimulator
    from s2nn.tools.run import run_comparison
    from s2nn.tools.tables import checks_table, comparison_table

    output = Output(as_json=as_json)
    chosen = accelerator(config, changes)
    nets = [lower_checkpoint(name, chosen) for name in checkpoints or DEFAULT_PAIR]
    workload = common_workload(nets, images, data_root=data)
    folder = out if out is not None else RUNS / f"{workload.dataset}-{chosen.name}"
    simulator = (EngineSimulator(stall_probability=stalls, seed=seed) if level is RunLevel.engine
                 else RtlSimulator(build_dir=build, stall_probability=stalls, seed=seed))
    result = run_comparison(chosen, nets, workload, simulator, folder=folder, stall_probability=stalls, seed=seed,
                            tell=output.tell)
    output.show(comparison_table(result.stats), checks_table(result.stats), f"data, plots and report: {folder}")
    output.result(result.stats)
    if result.failures:
        raise SimulationError("the levels must agree:\n" + "\n".join(result.failures), source=folder)


@main.command()
@refuses_bad_input
def sim(folder: Annotated[Path, typer.Argument(help="An exported folder, see `s2nn export`.")], *,
        level: Annotated[Level, typer.Option(help="Golden model, cycle engine or RTL.")] = Level.functional,
        images: Annotated[int, typer.Option(min=1, help="Test images.")] = 8,
        dataset: Annotated[str | None, typer.Option(help="Data set.", show_default="that of the training")] = None,
        build: Build = BUILD / "rtl", stalls: Stalls = 0.0, seed: Seed = 0, data: Data = None,
        trace: Annotated[Path | None, typer.Option(help="Write what ran when for Perfetto; engine only.")] = None,
        layers: Annotated[Path | None, typer.Option(help="Write counters by layer as CSV; engine only.")] = None,
        as_json: Json = False) -> None:
    """Run one exported net on test images, on the golden model, in the cycle engine or on the RTL.

    Example: s2nn sim build/export/mnist5k-eta4 --level engine --images 100
    """
    from s2nn.tools.simulate import layers_table, simulate_export, simulation_table

    output = Output(as_json=as_json)
    if level is not Level.engine and (trace or layers):
        raise SimulationError("only the engine knows layers and spans: level must be engine", value=level.value)
    result = simulate_export(folder, level=level.value, images=images, dataset=dataset, data_root=data, build_dir=build,
                             stall_probability=stalls, seed=seed, trace=trace, layers_csv=layers, tell=output.tell)
    output.show(simulation_table(result), *([layers_table(result)] if result["layers"] else []))
    output.result(result)
    if result["failures"]:
        raise SimulationError("RTL and golden model must agree:\n" + "\n".join(result["failures"]), source=folder)


@main.command()
@refuses_bad_input
def verify(checkpoints: Checkpoints = None, *, config: Config = DEFAULT_CONFIG, changes: Changes = None,
           steps: Annotated[list[int] | None, typer.Option("--steps", min=1, help="T, again for more.",
                                                           show_default="4 and 6")] = None,
           stalls: Annotated[list[float] | None, typer.Option(
               "--stalls", min=0, max=0.9, help="Probability of random stalls on AXI, again for more.",
               show_default="0 and 0.3")] = None,
           images: Annotated[int, typer.Option(min=1, help="Test images of each case.")] = 8,
           out: Annotated[Path, typer.Option(help="Folder of the cases and verify.json.")] = BUILD / "verify",
           build: Build = BUILD / "rtl", seed: Seed = 0, data: Data = None, as_json: Json = False) -> None:
    """Hold torch, golden model and RTL against each other: nets x time steps x stalls, spike for spike.

    Example: s2nn verify --steps 4 --steps 6 --stalls 0.3
    """
    from s2nn.tools.campaign import campaign_table, run_campaign
    from s2nn.tools.lowering import DEFAULT_PAIR
    from s2nn.tools.rtl import RtlSimulator

    output = Output(as_json=as_json)
    results = run_campaign(
        checkpoints or DEFAULT_PAIR, accelerator(config, changes), steps=steps or [4, 6], stalls=stalls or [0.0, 0.3],
        images=images, simulator=lambda p: RtlSimulator(build_dir=build, stall_probability=p, seed=seed), out=out,
        data_root=data, tell=output.tell)
    output.show(campaign_table(results))
    output.result([dataclasses.asdict(result) for result in results])
    if failures := [line for result in results for line in result.failures]:
        raise SimulationError("the levels must agree:\n" + "\n".join(failures), source=out)


@main.command()
@refuses_bad_input
def export(checkpoints: Checkpoints = None, *, config: Config = DEFAULT_CONFIG, changes: Changes = None,
           maps: Annotated[str, typer.Option(help="auto: on chip, the largest spilled where they do not fit; spilled: "
                                                  "all through DRAM.")] = "auto",
           per_step: Annotated[bool, typer.Option("--per-step", help="Fetch weights for each chunk of time steps "
                                                                     "anew; needs --set membrane_words=N.")] = False,
           out: Annotated[Path, typer.Option(help="Folder; each net gets one below it.")] = BUILD / "export",
           as_json: Json = False) -> None:
    """Lower checkpoints and pack them: image.bin, image.hex and manifest.json.

    Example: s2nn export model.safetensors --config tiny --out build/export
    """
    from s2nn.hw.spec.schedule import Schedule
    from s2nn.tools.lowering import DEFAULT_PAIR, export_checkpoint
    from s2nn.tools.tables import manifest_table

    output, manifests = Output(as_json=as_json), {}
    built = accelerator(config, changes)
    schedule = Schedule(per_step=per_step, maps=maps)  # type: ignore[arg-type]
    for name in checkpoints or DEFAULT_PAIR:
        folder, manifest = export_checkpoint(name, built, out, schedule=schedule)
        manifests[str(folder)] = manifest
    output.show(*(manifest_table(folder, manifest) for folder, manifest in manifests.items()))
    output.result({folder: manifest.to_json() for folder, manifest in manifests.items()})


RunFolder = Annotated[Path | None, typer.Argument(help="Folder of a run.", show_default="the last one")]


@main.command()
@refuses_bad_input
def plots(folder: RunFolder = None, *, as_json: Json = False) -> None:
    """Draw the plots of a run or a comparison again, from its stats.json or compare.json.

    Example: s2nn plots build/run/mnist5k-ulx3s
    """
    from s2nn.tools.compare import COMPARE_FILE, read_compare
    from s2nn.tools.compare_plots import draw_compare
    from s2nn.tools.plots import draw_plots
    from s2nn.tools.stats import last_run, read_stats

    output = Output(as_json=as_json)
    chosen = folder if folder is not None else last_run(RUNS)
    if (chosen / COMPARE_FILE).is_file():
        paths = draw_compare(read_compare(chosen), chosen / "plots")
    else:
        paths = draw_plots(read_stats(chosen), chosen / "plots")
    output.show(*map(str, paths))
    output.result([str(path) for path in paths])


@main.command()
@refuses_bad_input
def report(folder: RunFolder = None, *, as_json: Json = False) -> None:
    """Write a run's report.html again: tables, plots and facts in one file.

    Example: s2nn report build/run/mnist5k-ulx3s
    """
    from s2nn.tools.plots import draw_plots
    from s2nn.tools.report import REPORT_FILE, write_report
    from s2nn.tools.stats import last_run, read_stats

    output = Output(as_json=as_json)
    chosen = folder if folder is not None else last_run(RUNS)
    stats = read_stats(chosen)
    path = write_report(stats, draw_plots(stats, chosen / "plots"), chosen / REPORT_FILE)
    output.show(str(path))
    output.result(str(path))


@main.command()
@refuses_bad_input
def synth(*, config: Annotated[str | None, typer.Option("--config", help="Preset; default: one per target.")] = None,
          target: Annotated[str, typer.Option(help="FPGA, with --config.")] = "ecp5-85k",
          out: Annotated[Path, typer.Option(help="Folder for netlists, logs and synth.json.")] = BUILD / "synth",
          area_only: Annotated[bool, typer.Option("--area-only", help="Do not place and route.")] = False,
          changes: Changes = None,
          seeds: Annotated[list[int] | None, typer.Option("--seed", help="Of the placer, again for more.",
                                                          show_default="1")] = None, as_json: Json = False) -> None:
    """Synthesise the accelerator in both weight formats: LUT, FF, BRAM, DSP and Fmax.

    Example: s2nn synth --config ulx3s --target ecp5-85k --seed 1 --seed 2
    """
    from s2nn.tools.area import DEFAULT_DESIGNS, baseline_label, codebook_label, synthesise_formats
    from s2nn.tools.synth_report import results_table, write_report

    output = Output(as_json=as_json)
    if config is None and changes:
        raise ConfigError("needs --config: the default designs differ", value=changes, field="--set")
    designs = DEFAULT_DESIGNS if config is None else ((accelerator(config, changes), target),)
    results = synthesise_formats(designs, out=out, place_and_route=not area_only, seeds=seeds or [1], tell=output.tell)
    for built, _ in designs:
        baseline = baseline_label(built.name)
        chosen = [result for result in results if result.label in (baseline, codebook_label(built.name))]
        write_report(chosen, out / f"synth-{built.name}.json", baseline=baseline)
        output.show(results_table(chosen, baseline=baseline))
    output.result([dataclasses.asdict(result) for result in results])


@main.command("synth-pe")
@refuses_bad_input
def synth_pe(*, etas: Annotated[list[int] | None, typer.Option("--eta", help="Index bits; default: 4 5 6.")] = None,
             lanes: Annotated[list[int] | None, typer.Option("--lanes", help="Default: 8 16 32 64.")] = None,
             variants: Annotated[list[str] | None, typer.Option("--variant", help="Default: decode select.")] = None,
             target: Annotated[str, typer.Option(help="FPGA.")] = "ecp5-85k",
             out: Annotated[Path, typer.Option(help="Folder for netlists and synth-pe.json.")] = BUILD / "synth-pe",
             area_only: Annotated[bool, typer.Option("--area-only", help="Do not place and route.")] = False,
             seed: Annotated[int, typer.Option("--seed", help="Of the placer.")] = 1, as_json: Json = False) -> None:
    """Synthesise the PE array alone, decode-then-popcount beside popcount-then-select, over index bits and lanes.

    An interrupted run goes on where it stopped: points that the output folder holds are not run again.

    Example: s2nn synth-pe --eta 4 --lanes 16
    """
    from s2nn.tools.pe_area import DEFAULT_ETAS, DEFAULT_LANES, VARIANTS, pe_table, synthesise_pe_arrays

    output = Output(as_json=as_json)
    points = synthesise_pe_arrays(etas or DEFAULT_ETAS, lanes or DEFAULT_LANES, variants or tuple(VARIANTS), out=out,
                                  target=target, place_and_route=not area_only, seed=seed, tell=output.tell)
    output.show(pe_table(points))
    output.result([dataclasses.asdict(point) for point in points])


@main.command()
@refuses_bad_input
def info(*, as_json: Json = False) -> None:
    """Presets, checkpoints, recipes, data sets and versions.

    Example: s2nn info --json
    """
    from s2nn.tools.info import choices_tables, describe_choices

    output, choices = Output(as_json=as_json), describe_choices()
    output.show(*choices_tables(choices))
    output.result(choices)


__all__ = ["EXIT_REFUSED", "main"]
