"""Commands that train nets and measure their accuracy."""

from pathlib import Path
from typing import Annotated

import typer

from s2nn.tools.cli_options import BUILD, DEFAULT_CONFIG, Changes, Config, Data, Json, accelerator
from s2nn.tools.console import Output, refuses_bad_input

commands = typer.Typer()

Device = Annotated[str, typer.Option(help="cpu, cuda, mps, ...")]
Fast = Annotated[bool, typer.Option("--fast", help="A thousand images and three epochs, to see that it runs.")]


@commands.command()
@refuses_bad_input
def train(recipe: Annotated[str, typer.Argument(help="Shipped name or path of a recipe.")] = "mnist5k", *,
          weights: Annotated[list[str] | None, typer.Option(
              help="Weight format, again for more: fp, binary, eta2 .. eta6.", show_default="binary and eta4")] = None,
          out: Annotated[Path, typer.Option(help="Folder; each format gets one below it.")] = BUILD / "train",
          seed: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
          device: Device = "cpu",
          resume: Annotated[bool, typer.Option("--resume", help="Go on from the folder's last epoch.")] = False,
          fast: Fast = False,
          tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write a log for TensorBoard.")] = False,
          data: Data = None, as_json: Json = False) -> None:
    """Train a net and its 1-bit twin from the same recipe; under torchrun on several devices.

    Example: s2nn train digits --weights eta4 --seed 1
    """
    from s2nn.model.replicas import is_first_process
    from s2nn.tools.training import train_formats

    output = Output(as_json=as_json, quiet=not is_first_process())
    results = train_formats(recipe, weights or ["binary", "eta4"], out=out, console=output.progress_console, seed=seed,
                            device=device, data_root=data, resume=resume, fast=fast, tensorboard=tensorboard)
    for result in results:
        output.show(f"{result['weight_format']}: {100 * result['test_accuracy']:.2f} % on the held-out split, "
                    f"{result['checkpoint']}")
    output.result(results)


@commands.command()
@refuses_bad_input
def evaluate(checkpoint: Annotated[str, typer.Argument(help="Shipped name or path.")], *,
             config: Config = DEFAULT_CONFIG, changes: Changes = None,
             images: Annotated[int | None, typer.Option(min=1, help="Test images.", show_default="all")] = None,
             data: Data = None, as_json: Json = False) -> None:
    """Accuracy of a checkpoint on the held-out split, as floats and as the accelerator's integers.

    Example: s2nn evaluate mnist5k-eta4 --images 200
    """
    from s2nn.tools.evaluation import evaluate_checkpoint

    output = Output(as_json=as_json)
    result = evaluate_checkpoint(checkpoint, accelerator(config, changes), images=images, data_root=data)
    integers = "no integers: full precision" if result["integer_accuracy"] is None else (
        f"{100 * result['integer_accuracy']:.2f} % in integers ({result['different_predictions']} predictions differ)")
    output.show(f"{result['checkpoint']}, {result['images']} images of {result['dataset']}: "
                f"{100 * result['float_accuracy']:.2f} % in floats, {integers}")
    output.result(result)


@commands.command()
@refuses_bad_input
def study(name: Annotated[str, typer.Argument(help="Shipped name or path of a study, see `s2nn info`.")], *,
          runs: Annotated[Path | None, typer.Option(help="Folder of the training runs.",
                                                    show_default="build/studies/<name>")] = None,
          out: Annotated[Path | None, typer.Option(help="JSON file.",
                                                   show_default="study.json in the folder of the runs")] = None,
          workers: Annotated[int, typer.Option(min=1, help="Runs side by side, one thread each.")] = 1,
          device: Device = "cpu",
          compiled: Annotated[bool, typer.Option("--compiled", help="Neurons through torch.compile.")] = False,
          fast: Fast = False, data: Data = None, as_json: Json = False) -> None:
    """Train a recipe in several formats, arms and seeds, and measure floats and integers: an accuracy table.

    An interrupted study goes on: runs that its folder or its JSON file holds are not repeated.

    Example: s2nn study mnist5k --workers 2
    """
    from s2nn.model.study import run_study
    from s2nn.tools.study import study_table

    output = Output(as_json=as_json)
    folder = runs if runs is not None else BUILD / "studies" / (Path(name).stem + ("-fast" if fast else ""))
    document = run_study(name, runs=folder, out=out or folder / "study.json", data_root=data, workers=workers,
                         device=device, compiled=compiled, fast=fast, tell=output.tell)
    output.show(study_table(document))
    output.result(document)
