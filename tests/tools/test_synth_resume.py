"""Kept synthesis results: used only for the same run, and written whole."""

import dataclasses
from pathlib import Path

import pytest

from s2nn.tools import synth_resume
from s2nn.tools.synth_resume import result_from_json, synthesise_once
from s2nn.tools.synth_timing import CriticalPath
from tests.tools.test_synth_parts import RESULT

PATH = CriticalPath(start="a.Q", end="b.DI", total_ns=4.0, logic_ns=1.0, routing_ns=3.0, levels=1, through_design=True)


@pytest.mark.parametrize("result", [RESULT, dataclasses.replace(RESULT, critical_path=PATH)])
def test_a_result_survives_json(result) -> None:
    assert result_from_json(dataclasses.asdict(result)) == result


def test_only_the_same_run_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[tuple[str, int]] = []

    def synthesise(verilog: Path, top: str, **options):
        runs.append((verilog.read_text(), *options["seeds"]))
        return dataclasses.replace(RESULT, label=options["label"], seed=options["seeds"][0])

    monkeypatch.setattr(synth_resume, "synthesise", synthesise)
    verilog, lines = tmp_path / "a.v", []

    def once(text: str, seed: int):
        verilog.write_text(text)
        return synthesise_once(verilog, "top", target="ecp5-85k", build_dir=tmp_path, label="a", freq_mhz=50.0,
                               seed=seed, place_and_route=True, on_progress=lines.append)

    first = once("module a;", 1)
    assert once("module a;", 1) == first and runs == [("module a;", 1)] and lines == ["a: kept from an earlier run"]
    assert once("module a;", 2).seed == 2  # another run takes the place of the kept one
    assert once("module b;", 2).seed == 2 and len(runs) == 3
    (tmp_path / "a-ecp5-85k.json").unlink()
    once("module b;", 2)
    assert len(runs) == 4
