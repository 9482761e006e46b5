"""`s2nn bench`: how fast simulators, neurons and training are. Measurements, not tests: they depend on the machine."""

from typing import Annotated

import typer

from s2nn.tools.cli_options import BUILD, DEFAULT_CONFIG, Build, Changes, Config, Data, Json, accelerator
from s2nn.tools.console import Output, refuses_bad_input

commands = typer.Typer(no_args_is_help=True, help="Measure the speed of simulators, neurons and training.")

Repetitions = Annotated[int, typer.Option(min=1, help="Of each series, in turn; medians are compared.")]


@commands.command()
@refuses_bad_input
def rtl(checkpoint: Annotated[str | None, typer.Argument(help="Shipped name or path.",
                                                         show_default="the shipped sub-bit net")] = None, *,
        config: Config = DEFAULT_CONFIG, changes: Changes = None,
        images: Annotated[int, typer.Option(min=1, help="Test images.")] = 2,
        repetitions: Repetitions = 5,
        idle_cycles: Annotated[int, typer.Option(min=1, help="Of the clock with the design idle.")] = 200_000,
        build: Build = BUILD / "rtl", data: Data = None, as_json: Json = False) -> None:
    """Simulated cycles per second of the RTL: with DRAM, with a fixed latency instead, and idle.

    Example: s2nn bench rtl --repetitions 9 --json
    """
    from s2nn.tools.bench_rtl import bench_rtl, bench_table

    output = Output(as_json=as_json)
    result = bench_rtl(accelerator(config, changes), checkpoint, images=images, repetitions=repetitions,
                       idle_cycles=idle_cycles, build_dir=build, out=BUILD / "bench", data_root=data, tell=output.tell)
    output.show(bench_table(result))
    output.result(result)


@commands.command()
@refuses_bad_input
def dram(*, requests: Annotated[int, typer.Option(min=1, help="Of each series.")] = 1_000_000,
         repetitions: Repetitions = 5, seed: Annotated[int, typer.Option(help="Of the random addresses.")] = 0,
         as_json: Json = False) -> None:
    """Requests per second of the DRAM core in batches, for each preset.

    Example: s2nn bench dram --requests 200000 --json
    """
    from s2nn.tools.bench_dram import bench_dram, bench_table

    output = Output(as_json=as_json)
    result = bench_dram(requests, repetitions=repetitions, seed=seed, tell=output.tell)
    output.show(bench_table(result))
    output.result(result)


@commands.command()
@refuses_bad_input
def engine(nets: Annotated[list[str] | None, typer.Argument(
               help="Names of the catalogue.", show_default="default, vgg16 and resnet19")] = None, *,
           scaling: Annotated[bool, typer.Option(
               "--scaling", help="Each net with other T, lanes and input size instead.")] = False,
           images: Annotated[int, typer.Option(min=1, help="Of each net, per repetition.")] = 2,
           repetitions: Repetitions = 5, seed: Annotated[int, typer.Option(help="Of the random nets.")] = 0,
           as_json: Json = False) -> None:
    """Simulated cycles per second of the cycle engine, on random nets of CIFAR size.

    Example: s2nn bench engine resnet19 --repetitions 3 --json
    """
    from s2nn.tools.bench_engine import bench_engine, bench_table, named_cases, scaling_cases

    output = Output(as_json=as_json)
    if scaling:
        cases = [case for name in nets or ["resnet19"] for case in scaling_cases(name)]
    else:
        cases = named_cases(nets or ["default", "vgg16", "resnet19"])
    result = bench_engine(cases, images=images, repetitions=repetitions, seed=seed, tell=output.tell)
    output.show(bench_table(result))
    output.result(result)


@commands.command()
@refuses_bad_input
def neurons(*, steps: Annotated[list[int] | None, typer.Option("--steps", min=1, help="T, again for more.",
                                                               show_default="4 and 16")] = None,
            shape: Annotated[str, typer.Option(help="Batch, channels, rows, columns.")] = "16,64,16,16",
            repetitions: Repetitions = 9,
            threads: Annotated[int, typer.Option(min=1, help="Of PyTorch.")] = 1,
            device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
            compiled_peers: Annotated[bool, typer.Option(
                "--compiled-peers", help="Measure the others through torch.compile too.")] = False,
            seed: Annotated[int, typer.Option(help="Of the currents.")] = 0, as_json: Json = False) -> None:
    """Our LIF, eager and compiled, beside SpikingJelly's and snnTorch's: same spikes and gradients, then seconds.

    Example: s2nn bench neurons --steps 4 --compiled-peers
    """
    from s2nn.tools.bench_neurons import bench_neurons, bench_tables, parse_shape

    output = Output(as_json=as_json)
    result = bench_neurons(steps=steps or [4, 16], shape=parse_shape(shape), repetitions=repetitions, threads=threads,
                           device=device, seed=seed, compiled_peers=compiled_peers, tell=output.tell)
    output.show(*bench_tables(result))
    output.result(result)


@commands.command()
@refuses_bad_input
def training(recipe: Annotated[str, typer.Argument(help="Shipped name or path of a recipe.")] = "mnist5k", *,
             eta: Annotated[int, typer.Option(help="Of the sub-bit series.")] = 4,
             only: Annotated[list[str] | None, typer.Option(
                 "--only", help="Text in the names of the series to measure, again for more.",
                 show_default="all series")] = None,
             steps: Annotated[int, typer.Option(min=1, help="Of each series, per repetition.")] = 5,
             repetitions: Repetitions = 5,
             threads: Annotated[int, typer.Option(min=1, help="Of PyTorch, on a CPU.")] = 1,
             device: Annotated[str, typer.Option(help="cpu, cuda, mps, ...")] = "cpu",
             seed: Annotated[int, typer.Option(help="Of the random images.")] = 0, as_json: Json = False) -> None:
    """Time of a training step in each weight format, against the 1-bit twin's, and what OS-Quant and a teacher add.

    Example: s2nn bench training digits --eta 6 --repetitions 9
    """
    from s2nn.model.recipe import load_recipe
    from s2nn.tools.bench_training import bench_table, bench_training

    output = Output(as_json=as_json)
    result = bench_training(load_recipe(recipe), eta=eta, only=only or (), steps=steps, repetitions=repetitions,
                            threads=threads, device=device, seed=seed, tell=output.tell)
    output.show(bench_table(result))
    output.result(result)
