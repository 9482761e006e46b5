"""What commands print, on consoles of several widths."""

import pytest
from rich.table import Table

from s2nn.tools.console import Output


@pytest.mark.parametrize("columns", [20, 80, 200])
def test_a_table_keeps_every_word(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    headings = [f"count {number}" for number in range(8)]
    cells = [f"{1234567 + number:,}" for number in range(8)]
    table = Table(*headings)
    table.add_row(*cells)
    Output(as_json=False).show(table)
    lines = capsys.readouterr().out.splitlines()
    assert all(sum(cell in line for line in lines) == 1 for cell in cells)
    assert len({len(line) for line in lines}) == 1


def test_a_file_has_room(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    row = " ".join(f"word{number}" for number in range(15))
    table = Table("words")
    table.add_row(row)
    Output(as_json=False).show(table)
    assert row in capsys.readouterr().out


def test_texts_are_wrapped_between_words(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    words = [f"word{number}" for number in range(30)]
    table = Table("name", "words")
    table.add_row("some", " ".join(words))
    Output(as_json=False).show(table)
    printed = capsys.readouterr().out
    assert all(word in printed for word in words) and max(map(len, printed.splitlines())) <= 40
