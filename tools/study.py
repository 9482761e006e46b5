"""The table of a study: mean and spread of the accuracies by arm and weight format, and what an arm gains."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table


def study_table(document: Mapping[str, Any]) -> Table:
    """A row for each arm and format of a document of `s2nn.model.study.run_study`."""
    title = f"{document['study']}: accuracy in percent, mean and sample standard deviation"
    if document["fast"]:
        title += " (--fast: says nothing about the method)"
    table = Table(title=title, title_justify="left")
    has_arms = any(row["arm"] for row in document["summary"])
    kinds = {"float": "floats", "integer": "accelerator's integers"}
    if has_arms:
        table.add_column("arm")
    table.add_column("weights")
    table.add_column("runs", justify="right")
    for heading in kinds.values():
        table.add_column(heading, justify="right")
        if has_arms:
            table.add_column(f"over {next(iter(document['arms']))}", justify="right")
    for row in document["summary"]:
        cells = [row["weights"], str(row["runs"])]
        for kind in kinds:
            cells.append(_cell(row, f"{kind}_{{}}_percent"))
            if has_arms:
                cells.append(_cell(row, f"{kind}_over_baseline_{{}}_points", signed=True))
        table.add_row(*([row["arm"]] if has_arms else []), *cells)
    return table


def _cell(row: Mapping[str, Any], name: str, *, signed: bool = False) -> str:
    """Mean and, of more than one run, deviation; empty where a row has no such figure."""
    mean, deviation = row.get(name.format("mean")), row.get(name.format("std"))
    if mean is None:
        return ""
    return f"{mean:{'+' if signed else ''}.2f}" + ("" if deviation is None else f" ± {deviation:.2f}")
