"""`s2nn dram` and `s2nn dram-gaps`: what they count, price and refuse."""

import csv
import json
from importlib.resources import files

import pytest
from typer.testing import CliRunner

from s2nn.hw.sim.dram import DEFAULT_PRESET, PRESET_NAMES
from s2nn.tools.cli import main


def call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def trace(tmp_path):
    def write(text, name="requests.trc"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def document(*arguments):
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_timed_trace_is_counted_and_priced(trace):
    """By hand: ACT 0, RD 11; row hit 1000; a write to another bank; REF at 6240 after PREA."""
    result = document("dram", trace("0x0 READ 0\n0x10 READ 1000\n0x800 WRITE 2000\n"), "--cycles", 10_000)
    assert result["commands"] == {
        "act": 2, "pre": 0, "prea": 1, "rd": 2, "wr": 1, "ref": 1, "pde": 0, "pdx": 0, "sre": 0, "srx": 0}
    assert {name: result["cycles"][name] for name in ("last_column_command", "finish", "simulated")} == {
        "last_column_command": 2011, "finish": 2011 + 12, "simulated": 10_000}
    assert (result["row_hits"], result["row_misses"], result["row_conflicts"]) == (1, 2, 0)
    assert result["read_latency"] == {"min": 15, "mean": 20.5, "max": 26}
    energy = result["energy_pj"]
    unit = 1.35 * 1.25
    assert energy["act_pre"] == pytest.approx(2 * unit * (66 * 39 - 47 * 28 - 32 * 11))
    assert energy["rd"] == pytest.approx(2 * unit * 4 * (235 - 47))
    assert energy["wr"] == pytest.approx(unit * 4 * (171 - 47))
    assert energy["ref"] == pytest.approx(unit * 208 * (235 - 47))
    active = 6240 + 208  # a row is open from ACT to PREA, and a refresh burns as much
    assert energy["background"] == pytest.approx(unit * (active * 47 + (10_000 - active) * 32))
    assert energy["total"] == pytest.approx(sum(energy[name] for name in ("act_pre", "rd", "wr", "ref", "background")))
    assert [bank["num_act"] for bank in result["banks"]] == [1, 1, 0, 0, 0, 0, 0, 0]


def test_an_untimed_trace_runs_as_fast_as_it_can(trace):
    lines = [f"0x{16 * burst:x} {'W' if burst % 4 == 3 else 'R'}" for burst in range(1000)]
    result = document("dram", trace("\n".join(lines)))  # no line end at the end
    assert result["requests"] == {"total": 1000, "served": 1000, "pending": 0}
    assert (result["commands"]["rd"], result["commands"]["wr"]) == (750, 250)
    assert result["bytes"] == {"read": 12_000, "write": 4_000}
    assert result["cycles"]["simulated"] == result["cycles"]["finish"]


def test_a_request_moves_the_burst_that_holds_its_byte(trace):
    near = document("dram", trace("0x7 R\n0xF R\n# comment\n\n0x10 R"))
    assert near["commands"]["rd"] == 3
    assert near["row_hits"] == 2


def test_what_does_not_fit_the_cycles_is_pending(trace):
    result = document("dram", trace("0x0 R\n0x10 R\n"), "--cycles", 12)
    assert result["requests"] == {"total": 2, "served": 1, "pending": 1}


def test_an_empty_trace_costs_standby_alone(trace):
    result = document("dram", trace(""), "--cycles", 1000)
    assert result["energy_pj"]["total"] == pytest.approx(1000 * 1.35 * 1.25 * 32)


@pytest.mark.parametrize("name", [*PRESET_NAMES, "ddr4-2400-8gb-x16:64"])
def test_engines_agree_on_every_preset(trace, name):
    path = trace("\n".join(f"0x{burst * 4096 * 7 % (1 << 28):x} {'RW'[burst % 3 == 0]}" for burst in range(300)))
    options = ("dram", path, "--preset", name, "--power-down", 50, "--postpone", 2, "--page-policy", "timeout")
    core = document(*options, "--engine", "core")
    assert core == document(*options, "--engine", "twin")
    assert core["preset"] == name


def test_commands_are_written_as_csv(trace, tmp_path):
    result = document("dram", trace("0x0 READ 0\n0x10 READ 5\n"), "--commands", tmp_path / "commands.csv")
    with (tmp_path / "commands.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["cycle"], row["command"], row["bank"], row["row"]) for row in rows] == [
        ("0", "ACT", "0", "0"), ("11", "RD", "0", "0"), ("15", "RD", "0", "0")]
    assert len(rows) == sum(result["commands"].values())


def test_a_users_standard_is_a_preset(trace, tmp_path):
    table = files("s2nn.hw.sim.dram").joinpath("tables", f"{DEFAULT_PRESET}.toml").read_text()
    mine = tmp_path / "mine.toml"
    mine.write_text(table.replace(DEFAULT_PRESET, "mine").replace("n_cl = 11", "n_cl = 9"))
    result = document("dram", trace("0x0 READ 0"), "--preset", mine)
    assert (result["preset"], result["read_latency"]["max"]) == ("mine", 11 + 9 + 4)
    assert document("dram-gaps", "--preset", mine)["preset"] == "mine"


def test_people_get_tables(trace):
    result = call("dram", trace("0x0 READ 0\n"))
    assert "read latency min / mean / max" in result.stdout
    assert "by bank" in result.stdout
    assert "tFAW" not in call("dram-gaps").stdout
    assert "ACTs at 0, 6, 12, 18, 32" in call("dram-gaps").stdout


def test_gaps_are_listed_for_every_ordered_pair():
    result = document("dram-gaps", "--preset", "ddr4-2400-8gb-x16")
    assert len(result["gaps"]) == 12 * 12
    by_pair = {(gap.pop("preceding"), gap.pop("following")): gap for gap in result["gaps"]}
    assert by_pair["RD", "RD"] == {"same_bank": 6, "same_bank_group": 6, "other_bank_group": 4}
    assert by_pair["ACT", "ACT"] == {"same_bank": 56, "same_bank_group": 8, "other_bank_group": 7}
    assert result["act_train"] == [0, 7, 14, 21, 36]


@pytest.mark.parametrize(
    ("text", "line", "rule"),
    [
        ("0x0 READ 0\nnonsense\n", 2, "a line must be `0xADDR READ|WRITE CYCLE` or `0xADDR R|W`, not 'nonsense'"),
        ("0x0 READ\n", 1, "a line must be"),
        ("0x0 R 5\n", 1, "a line must be"),
        ("12 READ 0\n", 1, "a line must be"),
        ("-0x10 READ 0\n", 1, "a line must be"),
        ("0x0 READ 1.5\n", 1, "a line must be"),
        ("0x0 READ 0\n\n0x10 WRITE -3\n", 3, "a cycle must not be negative, not -3"),
        ("0x0 READ 9\n0x10 WRITE 8\n", 2, "cycles must not decrease, after 9, not 8"),
        ("0x0 READ 99999999999999999999\n", 1, "a cycle must be at most"),
        ("0x0 R\n0x20000000 R\n", 2, "an address must lie in [0, 0x20000000), not '0x20000000'"),
        ("0x0 R\n0x10 READ 5\n", 2, "all lines must have a cycle, or none, not '0x10 READ 5'"),
        ("0x0 READ 5\n0x10 R", 2, "all lines must have a cycle, or none, not '0x10 R'"),
    ],
)
def test_bad_traces_are_refused_with_line_and_rule(trace, text, line, rule):
    path = trace(text)
    plain, as_json = call("dram", path), call("dram", path, "--json")
    assert plain.exit_code == as_json.exit_code == 1
    assert f"error: {path}: line {line}: {rule}" in plain.stderr.replace("\n", " ")
    error = json.loads(as_json.stdout)["error"]
    assert (error["type"], error["field"], error["source"]) == ("SimulationError", f"line {line}", str(path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--preset", "ddr9"), "a DRAM preset must be one of"),
        (("--preset", "nowhere.toml"), "a DRAM standard's file must exist"),
        (("--postpone", "9"), "max_postponed_refreshes: must be in 0..8, not 9"),
        (("--power-down", "0"), "power_down_after_cycles: must be at least 1, not 0"),
    ],
)
def test_bad_options_are_refused(trace, options, message):
    result = call("dram", trace("0x0 READ 0\n"), *options)
    assert result.exit_code == 1
    assert message in result.stderr


def test_a_trace_must_exist_and_be_text(tmp_path):
    assert call("dram", tmp_path / "nowhere.trc").exit_code == 1
    (tmp_path / "binary.trc").write_bytes(b"\xff\xfe\x00")
    result = call("dram", tmp_path / "binary.trc")
    assert result.exit_code == 1
    assert "a trace must be UTF-8 text" in result.stderr
