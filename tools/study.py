"""The table of a study: mean and spread of the accuracies by arm and weight format."""

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
    if has_arms:
        table.add_column("arm")
    table.add_column("weights")
    for heading in ("runs", "floats", "accelerator's integers"):
        table.add_column(heading, justify="right")
    for row in document["summary"]:
        cells = [row["weights"], str(row["runs"]), _cell(row, "float"), _cell(row, "integer")]
        table.add_row(*([row["arm"]] if has_arms else []), *cells)
    return table


def _cell(row: Mapping[str, Any], kind: str) -> str:
    if f"{kind}_mean_percent" not in row:
        return ""
    deviation = f" ± {row[f'{kind}_std_percent']:.2f}" if row["runs"] > 1 else ""  # one run has none
    return f"{row[f'{kind}_mean_percent']:.2f}{deviation}"
