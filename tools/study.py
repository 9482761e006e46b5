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
    columns = []
    for kind, heading in (("float", "floats"), ("integer", "accelerator's integers")):
        columns.append((heading, f"{kind}_{{}}_percent", False))
        if has_arms:
            columns.append((f"over {next(iter(document['arms']))}", f"{kind}_over_baseline_{{}}_points", True))
    if has_arms:
        table.add_column("arm")
    table.add_column("weights")
    for heading in ("runs", *(heading for heading, _, _ in columns)):
        table.add_column(heading, justify="right")
    for row in document["summary"]:
        cells = [row["weights"], str(row["runs"]), *(figure(row, name, signed=signed) for _, name, signed in columns)]
        table.add_row(*([row["arm"]] if has_arms else []), *cells)
    return table


def figure(row: Mapping[str, Any], name: str, *, signed: bool = False) -> str:
    """A figure of a row of `s2nn.model.study.summarise`, "float_{}_percent": mean and, of more than one run, deviation;
    empty where the row has none."""
    mean, deviation = row.get(name.format("mean")), row.get(name.format("std"))
    if mean is None:
        return ""
    return f"{mean:{'+' if signed else ''}.2f}" + ("" if deviation is None else f" ± {deviation:.2f}")
