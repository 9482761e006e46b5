"""`report.html`: a run as one file that needs nothing else: its tables, its plots and how it was made."""

import base64
import html
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from s2nn.hw.spec.atomic import write_text_atomic
from s2nn.tools.tables import comparison_rows

REPORT_FILE = "report.html"


def write_report(stats: Mapping[str, Any], plots: Sequence[Path], path: Path) -> Path:
    """Write the report of a run with its plots (PNG files) embedded; returns its path."""
    template = Template(files("s2nn.tools").joinpath("templates", "report.html").read_text())
    workload, config = stats["workload"], stats["config"]
    text = template.substitute(
        title=html.escape(f"s2nn: {workload['dataset']} on {config['name']}"),
        summary=html.escape(f"{workload['images']} images of the held-out split of {workload['dataset']} "
                            f"({workload['split']}), T = {workload['steps']}. Baseline: {stats['baseline']}."),
        comparison=_comparison(stats),
        checks=_checks(stats),
        plots="\n".join(_image(plot) for plot in plots),
        facts=_facts(stats),
    )
    write_text_atomic(path, text)
    return path


def _comparison(stats: Mapping[str, Any]) -> str:
    nets = stats["nets"]
    heads = ["", "unit", *(net["label"] for net in nets), "baseline / net" if len(nets) > 1 else ""]
    lines, section = [_cells("th", heads)], None
    for row in comparison_rows(stats):
        if row.section != section:
            section = row.section
            lines.append(f'<tr><th colspan="{len(heads)}" class="section">{html.escape(section)} '
                         f"<small>{html.escape(row.origin)}</small></th></tr>")
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}×"
        lines.append(_cells("td", [row.name, row.unit, *(row.text(value) for value in row.values), ratio]))
    return f"<table>{''.join(lines)}</table>"


def _checks(stats: Mapping[str, Any]) -> str:
    lines = [_cells("th", ["law", *(net["label"] for net in stats["nets"])])]
    for laws in zip(*(net["checks"] for net in stats["nets"]), strict=True):
        verdicts = [f"{law['images']} images" if law["passed"] else "; ".join(law["failures"]) for law in laws]
        lines.append(_cells("td", [laws[0]["name"], *verdicts]))
    return f"<table>{''.join(lines)}</table>"


def _facts(stats: Mapping[str, Any]) -> str:
    facts = {"configuration": stats["config"], "stalls": stats["stalls"], "tools": stats["tools"],
             "units": stats["units"],
             **{net["label"]: {"checkpoint": net["checkpoint"], "config_digest": net["config_digest"],
                               "image_sha256": net["image_sha256"]} for net in stats["nets"]}}
    return html.escape(json.dumps(facts, indent=1))


def _cells(tag: str, texts: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(text)}</{tag}>' for text in texts)}</tr>"


def _image(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{html.escape(path.stem)}" src="data:image/png;base64,{data}">'
