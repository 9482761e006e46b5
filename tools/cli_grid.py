"""Commands that run nets of full size in the cycle engine: `grid` over formats and schedules, `cliff` over capacity."""

from pathlib import Path
from typing import Annotated

import typer

from s2nn.hw.sim.dram import DEFAULT_PRESET
from s2nn.tools.cli_options import BUILD, DEFAULT_CONFIG, Build, Changes, Config, Data, Json, accelerator
from s2nn.tools.console import Output, refuses_bad_input

commands = typer.Typer()

Nets = Annotated[list[str] | None, typer.Argument(help="Names of the catalogue: default, vgg9, vgg16, resnet19, ...",
                                                  show_default="vgg16 and resnet19")]
Etas = Annotated[list[int] | None, typer.Option("--eta", help="Sub-bit format, again for more.",
                                                show_default="6, 5 and 4")]
Seed = Annotated[int, typer.Option("--seed", help="Of the weights, and of inputs that are not real.")]
_NETS, _ETAS = ("vgg16", "resnet19"), (6, 5, 4)


@commands.command()
@refuses_bad_input
def grid(nets: Nets = None, *, etas: Etas = None,
         schedules: Annotated[list[str] | None, typer.Option(
             "--schedule", help="per_step, spilled or on_chip; again for more.", show_default="all")] = None,
         images: Annotated[int, typer.Option(min=1, help="Inputs of each net.")] = 1,
         config: Config = DEFAULT_CONFIG, changes: Changes = None,
         dram: Annotated[str, typer.Option(help="Preset of the memory.")] = DEFAULT_PRESET,
         datasets: Annotated[list[str] | None, typer.Option(
             "--dataset", help="Test images for the nets of their shape, again for more; else random.")] = None,
         rtl: Annotated[list[str] | None, typer.Option(
             "--rtl", help="Net whose cells are run on the RTL as well, again for more.")] = None,
         out: Annotated[Path, typer.Option(help="Folder for cells, JSON, CSV and plots.")] = BUILD / "grid",
         build: Build = BUILD / "rtl", seed: Seed = 0, data: Data = None, as_json: Json = False) -> None:
    """Formats x schedules in the cycle engine: cycles by cause, every stream, DRAM, energy, and each layer's limit.

    Example: s2nn grid vgg16 --eta 4 --images 2 --dataset cifar10
    """
    from s2nn.tools.grid import Grid, run_grid
    from s2nn.tools.grid_machine import SCHEDULES
    from s2nn.tools.grid_plots import draw_grid
    from s2nn.tools.grid_tables import grid_tables, write_grid
    from s2nn.tools.rtl import RtlSimulator

    output = Output(as_json=as_json)
    chosen = Grid(nets=nets or _NETS, schedules=schedules or tuple(SCHEDULES), etas=etas or _ETAS, dram=dram,
                  config=accelerator(config, changes), images=images, seed=seed, datasets=datasets or (),
                  data_root=data, on_rtl=rtl or ())
    document = run_grid(chosen, out, rtl=RtlSimulator(build_dir=build, dram=dram) if rtl else None, tell=output.tell)
    write_grid(out, document)
    draw_grid(document, out / "plots")
    output.show(*grid_tables(document), f"data and plots: {out}")
    output.result(document)


@commands.command()
@refuses_bad_input
def cliff(nets: Nets = None, *, etas: Etas = None, config: Config = DEFAULT_CONFIG, changes: Changes = None,
          out: Annotated[Path, typer.Option(help="Folder for JSON, CSV and the plot.")] = BUILD / "cliff",
          as_json: Json = False) -> None:
    """Weight bytes streamed per image against the on-chip capacity for weights that stay from image to image.

    Example: s2nn cliff vgg16 --eta 4
    """
    from s2nn.tools.cliff import cliff_table, draw_cliff, run_cliff, write_cliff

    output = Output(as_json=as_json)
    document = run_cliff(nets or _NETS, etas or _ETAS, accelerator(config, changes))
    write_cliff(out, document)
    path = draw_cliff(document, out / "cliff.png")
    output.show(cliff_table(document), f"data and plot: {path.parent}")
    output.result(document)
