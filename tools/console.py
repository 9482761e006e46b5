"""How commands speak: results on standard output (a table or JSON), progress and errors on standard error."""

import functools
import json
import os
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import typer
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table

from s2nn.hw.spec.errors import S2NNError

P = ParamSpec("P")
R = TypeVar("R")

EXIT_REFUSED = 1
#: Width of what goes into a file or pipe, unless the variable COLUMNS says otherwise.
FILE_COLUMNS = 160


def _console(*, quiet: bool, stderr: bool = False) -> Console:
    console = Console(quiet=quiet, stderr=stderr)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = FILE_COLUMNS
    return console


class Output:
    """What one command prints. With `as_json`, standard output holds one JSON document and nothing else; a quiet one
    prints nothing."""

    def __init__(self, *, as_json: bool, quiet: bool = False):
        self.as_json = as_json
        self._out, self._err = _console(quiet=quiet), _console(quiet=quiet, stderr=True)

    def tell(self, line: str) -> None:
        """A line of progress."""
        self._err.print(line, style="dim", highlight=False, markup=False)

    def show(self, *parts: RenderableType) -> None:
        """Tables and text for people; silent with `as_json`. A table is wider than the console rather than without the
        end of a number or a name."""
        if not self.as_json:
            for part in parts:
                if isinstance(part, Table):
                    self._keep_words(part)
                self._out.print(part, crop=False)

    def _keep_words(self, table: Table) -> None:
        """Make every column as wide as its longest word."""
        for column in table.columns:
            column.min_width = max(Measurement.get(self._out, self._out.options, cell).minimum
                                   for cell in (column.header, *column.cells))

    def result(self, document: Any) -> None:
        """The JSON document; silent without `as_json`."""
        if self.as_json:
            self._out.print_json(json.dumps(document))

    @property
    def progress_console(self) -> Console:
        """Where a progress bar is drawn."""
        return self._err


def refuses_bad_input(command: Callable[P, R]) -> Callable[P, R]:
    """A command whose typed errors (and failing files) end it with their text and exit status 1, not with a traceback.

    With `--json` (the parameter `as_json`) standard output holds {"error": {type, text, source, field, rule, value}}.
    """
    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except (S2NNError, OSError) as error:
            output = Output(as_json=bool(kwargs.get("as_json")))
            output.result({"error": _error_fields(error)})
            Console(stderr=True).print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
            raise typer.Exit(EXIT_REFUSED) from None
    return guarded


def _error_fields(error: S2NNError | OSError) -> dict[str, Any]:
    fields: dict[str, Any] = {"type": type(error).__name__, "text": str(error)}
    if isinstance(error, S2NNError):
        fields |= {name: None if value is None else str(value) for name, value in vars(error).items()}
    return fields
