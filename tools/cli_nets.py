"""Commands about nets as such: how large they are, and what their kernels look like."""

from pathlib import Path
from typing import Annotated

import typer

from s2nn.tools.cli_options import BUILD, DEFAULT_CONFIG, Changes, Config, Json, accelerator
from s2nn.tools.console import Output, refuses_bad_input

commands = typer.Typer()


@commands.command()
@refuses_bad_input
def size(*, net: Annotated[str, typer.Option(help="vggsnn, resnet19, vgg9, ..., see `s2nn info`.")] = "resnet19",
         classes: Annotated[int | None, typer.Option(min=2, help="Classes.", show_default="the net's")] = None,
         eta: Annotated[int, typer.Option(help="Bits of a codebook index, 2 to 6.")] = 4,
         width: Annotated[float, typer.Option(help="Factor on all channels.")] = 1.0,
         pointwise_codebook: Annotated[bool, typer.Option(
             "--pointwise-codebook", help="Pack 1x1 convolutions with codebook indices too.")] = False,
         config: Config = DEFAULT_CONFIG, changes: Changes = None, as_json: Json = False) -> None:
    """Size of a net by the S2NN paper's counting, and in bytes of the memory image.

    Example: s2nn size --net vggsnn --classes 10 --eta 4
    """
    from s2nn.model.nets import named_net
    from s2nn.tools.net_size import net_size, size_table

    output = Output(as_json=as_json)
    fields = {} if classes is None else {"classes": classes}
    described = named_net(net, width=width, eta=eta, pointwise_codebook=pointwise_codebook, **fields)
    document = net_size(described, accelerator(config, changes), name=net, eta=eta)
    output.show(size_table(document))
    output.result(document)


@commands.command()
@refuses_bad_input
def kernels(checkpoint: Annotated[str, typer.Argument(help="Shipped name or path.")] = "mnist5k-binary", *,
            out: Annotated[Path | None, typer.Option(help="Folder for JSON, CSV and plot.")] = None,
            as_json: Json = False) -> None:
    """Which kernels a trained net uses: shares of the most frequent ones and entropy, layer by layer.

    Example: s2nn kernels mnist5k-binary --out build/kernels/mnist5k-binary
    """
    from s2nn.tools.kernel_statistics import kernel_statistics, kernel_tables, write_kernels

    output = Output(as_json=as_json)
    document = kernel_statistics(checkpoint)
    folder = out if out is not None else BUILD / "kernels" / document["checkpoint"]
    paths = write_kernels(document, folder)
    output.show(*kernel_tables(document), *map(str, paths))
    output.result(document)
