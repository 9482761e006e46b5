"""`s2nn formal`: the proofs of the RTL."""

from pathlib import Path
from typing import Annotated

import typer

from s2nn.hw.spec.errors import ProofError
from s2nn.tools.cli_options import BUILD, Json
from s2nn.tools.console import Output, refuses_bad_input

commands = typer.Typer()


@commands.command()
@refuses_bad_input
def formal(*, proof: Annotated[list[str] | None, typer.Option("--proof", help="Name of a proof, again for more.",
                                                              show_default="all")] = None,
           fast: Annotated[bool, typer.Option("--fast", help="Only those that take seconds.")] = False,
           mutants: Annotated[int, typer.Option(min=0, help="Damaged components to try on each proof, too.")] = 0,
           seed: Annotated[int, typer.Option(min=0, help="Of the damages.")] = 0,
           timeout: Annotated[float, typer.Option(min=1, help="Seconds for each run of the solver.")] = 900.0,
           build: Annotated[Path, typer.Option(help="Folder for scripts, logs and traces.")] = BUILD / "formal",
           as_json: Json = False) -> None:
    """Prove the laws of the RTL: streams, queues, AXI rules, weights, arithmetic, sequencer, counters.

    Example: s2nn formal --proof skid_buffer.order --mutants 10
    """
    from s2nn.tools.formal import choose, prove_all, verdict_table

    output = Output(as_json=as_json)
    result = prove_all(choose(proof or [], fast=fast), build_dir=build, timeout_s=timeout, mutants=mutants, seed=seed,
                       tell=output.tell)
    output.show(verdict_table(result))
    output.result(result)
    if result["failures"]:
        raise ProofError("every law must hold:\n" + "\n".join(result["failures"]), source=build)
