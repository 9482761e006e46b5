"""Commands around DRAM: `compare` formats by their streams, `price` a run anew, `dram` and `dram-gaps` on the model."""

from pathlib import Path
from typing import Annotated

import typer

from s2nn.hw.sim.dram import DEFAULT_PRESET, ControllerConfig, EngineName, PagePolicy
from s2nn.hw.sim.dram.address import Mapping
from s2nn.hw.spec.errors import ConfigError
from s2nn.tools.cli_options import BUILD, DEFAULT_CONFIG, Changes, Config, Data, Json, accelerator
from s2nn.tools.console import Output, refuses_bad_input

COMPARISON = BUILD / "compare"
_POLICY = ControllerConfig()

commands = typer.Typer()

TableName = Annotated[str, typer.Option("--table", help="Energy table: datasheet, convention or a JSON file.")]
Node = Annotated[str | None, typer.Option("--node", help="Node of the table's SRAM.", show_default="its first")]


@commands.command()
@refuses_bad_input
def price(document: Annotated[Path, typer.Argument(help="stats.json or compare.json, or its folder.")], *,
          table: TableName = "datasheet", node: Node = None, as_json: Json = False) -> None:
    """Price an old run anew: its counters times an energy table.

    Example: s2nn price build/run/mnist5k-ulx3s --table convention
    """
    from s2nn.hw.sim.energy_table import load_table
    from s2nn.tools.pricing import price_document, price_table, read_priced

    output = Output(as_json=as_json)
    result = price_document(read_priced(document), load_table(table, node=node), source=document)
    output.show(price_table(result))
    output.result(result)


@commands.command()
@refuses_bad_input
def compare(nets: Annotated[list[str] | None, typer.Argument(
                help="default, vgg16, resnet19, s2nn-scnn.", show_default="default vgg16 resnet19")] = None, *,
            schedules: Annotated[list[str] | None, typer.Option(
                "--schedule", help="per_step, per_step_state, once_dram, once_chip; again for more.",
                show_default="all but per_step_state")] = None,
            etas: Annotated[list[int] | None, typer.Option(
                "--eta", help="Sub-bit format, again for more.", show_default="4")] = None,
            config: Config = DEFAULT_CONFIG, changes: Changes = None,
            dram: Annotated[str | None, typer.Option(help="Preset of the memory.",
                                                     show_default="ddr3l-1600-4gb-x16")] = None,
            steps: Annotated[int | None, typer.Option(min=1, help="Time steps T.", show_default="each net's")] = None,
            spike_rate: Annotated[float, typer.Option(help="Assumed for nets without a checkpoint.")] = 0.15,
            images: Annotated[int, typer.Option(min=1, help="Test images on which the trained net is measured.")] = 8,
            spike_buffer_kib: Annotated[int | None, typer.Option(
                min=0, help="Room for maps of once_chip.", show_default="what the net needs")] = None,
            measured: Annotated[Path | None, typer.Option(
                help="stats.json of a run of the default net, to stand beside the model.")] = None,
            protocol: Annotated[str | None, typer.Option(help="s2nn-paper: the published table instead.")] = None,
            out: Annotated[Path, typer.Option(help="Folder for JSON, CSV and plots.")] = COMPARISON, data: Data = None,
            as_json: Json = False) -> None:
    """Formats x schedules, every DRAM stream counted, each cell against the 1-bit baseline of its schedule.

    Example: s2nn compare vgg16 --schedule once_chip --eta 4 --eta 5
    """
    from s2nn.tools.compare import DEFAULT_ETAS, DEFAULT_NETS, DEFAULT_SCHEDULES, Grid, run_compare, write_compare
    from s2nn.tools.compare_plots import draw_compare
    from s2nn.tools.compare_tables import compare_tables
    from s2nn.tools.protocol import protocol_tables, run_protocol, write_protocol
    from s2nn.tools.stats import read_stats

    output = Output(as_json=as_json)
    if protocol is not None:
        if nets:
            raise ConfigError("a protocol has a net of its own: name none beside it", value=nets, field="nets")
        result = run_protocol(protocol)
        output.show(*protocol_tables(result), f"data and plot: {write_protocol(result, out)}")
        output.result(result)
        return
    grid = Grid(nets=nets or DEFAULT_NETS, schedules=schedules or DEFAULT_SCHEDULES, etas=etas or DEFAULT_ETAS,
                config=accelerator(config, changes), dram=dram or DEFAULT_PRESET, steps=steps, spike_rate=spike_rate,
                images=images, spike_buffer_bytes=None if spike_buffer_kib is None else 1024 * spike_buffer_kib)
    document = run_compare(grid, measured=None if measured is None else read_stats(measured), data_root=data,
                           tell=output.tell)
    write_compare(out, document)
    draw_compare(document, out / "plots")
    output.show(*compare_tables(document), f"data and plots: {out}")
    output.result(document)


Preset = Annotated[str, typer.Option("--preset", help="DRAM preset, see `s2nn info`, NAME:BITS for a wider bus, or "
                                                       "a TOML file with the fields of ours.")]


@commands.command()
@refuses_bad_input
def dram(trace: Annotated[Path, typer.Argument(help="Lines `0xADDR READ|WRITE CYCLE` or `0xADDR R|W`.")], *,
         preset: Preset = DEFAULT_PRESET,
         cycles: Annotated[int | None, typer.Option(min=0, help="DRAM cycles to simulate.",
                                                    show_default="until the last data beat")] = None,
         commands: Annotated[Path | None, typer.Option(help="Write the command trace to this CSV file.")] = None,
         mapping: Annotated[Mapping, typer.Option(help="Address bits from the top.")] = _POLICY.mapping,
         page_policy: Annotated[PagePolicy, typer.Option(help="When unwanted rows close.")] = _POLICY.page_policy,
         page_timeout: Annotated[int, typer.Option(help="Cycles, with that policy.")] = _POLICY.page_timeout_cycles,
         row_hit_cap: Annotated[int, typer.Option(help="Hits that may pass an older miss.")] = _POLICY.row_hit_cap,
         postpone: Annotated[int, typer.Option(help="Refreshes that may be owed.")] = _POLICY.max_postponed_refreshes,
         power_down: Annotated[int | None, typer.Option(help="Idle cycles before it.", show_default="never")] = None,
         self_refresh: Annotated[int | None, typer.Option(help="Idle cycles before it.", show_default="never")] = None,
         interface: Annotated[bool, typer.Option("--interface", help="Price the data pins, too.")] = False,
         engine: Annotated[EngineName, typer.Option(help="C++ core or its Python twin.")] = EngineName.CORE,
         as_json: Json = False) -> None:
    """Simulate a request trace on a DRAM command by command: counts, cycles, latencies and energy.

    Example: s2nn dram requests.trc --preset ddr4-2400-8gb-x16 --cycles 100000 --json
    """
    from s2nn.hw.sim.dram import load_standard
    from s2nn.tools.dram import simulate_trace, trace_tables

    output = Output(as_json=as_json)
    config = ControllerConfig(
        mapping=mapping, page_policy=page_policy, page_timeout_cycles=page_timeout, row_hit_cap=row_hit_cap,
        max_postponed_refreshes=postpone, power_down_after_cycles=power_down, self_refresh_after_cycles=self_refresh)
    result = simulate_trace(trace, load_standard(preset), config=config, cycles=cycles, engine=engine,
                            commands=commands, with_interface=interface)
    output.show(*trace_tables(result))
    output.result(result)


@commands.command()
@refuses_bad_input
def dram_gaps(*, preset: Preset = DEFAULT_PRESET, as_json: Json = False) -> None:
    """List the least gap between any two DRAM commands, as the timing model enforces it.

    Example: s2nn dram-gaps --preset ddr3-1600k-4gb-x16 --json
    """
    from s2nn.hw.sim.dram import load_standard
    from s2nn.tools.dram import describe_gaps, gaps_table

    output, result = Output(as_json=as_json), describe_gaps(load_standard(preset))
    output.show(gaps_table(result))
    output.result(result)
