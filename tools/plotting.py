"""What all plots share: style, colours, and how they are written. Solid bars are measured, hatched ones modelled."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from s2nn.hw.spec.atomic import write_bytes_atomic

MODELLED_HATCH = "//"
COLOURS = ("#33658a", "#f26419", "#86bbd8", "#758e4f", "#f6ae2d", "#7a5195", "#9c9c9c", "#c94c4c", "#444444", "#c9ada7")


@contextmanager
def plot_style() -> Iterator[None]:
    """The project's style, for as long as plots are drawn."""
    with as_file(files("s2nn.tools").joinpath("s2nn.mplstyle")) as path, mpl.rc_context():
        style.use(path)
        yield


def write_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, the same bytes for the same figure; its folder is created. Returns the path."""
    sink = BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(sink, format="png", metadata={"Software": None})
    write_bytes_atomic(path, sink.getvalue())
    return path


def legend_beside(axes: Axes) -> None:
    """A legend beside the bars, in the order in which they are stacked."""
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1.0, 0.5))
