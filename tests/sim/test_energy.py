"""Energies equal the hand formula; a run's energy is the sum of its commands'; tables give what they say."""

import json
import math

import pytest

from s2nn.hw.sim.dram import DramModel, DramStats, preset, write_trace
from s2nn.hw.sim.energy import LogicActivity, SramActivity, command_energy_pj, dram_energy, energy
from s2nn.hw.sim.energy_table import TABLE_NAMES, load_table
from s2nn.hw.spec.errors import ConfigError

NAME = "ddr3l-1600-4gb-x16"


def mixed_run(cycles: int = 40_000) -> DramModel:
    """Reads and writes over several rows and refreshes."""
    model = DramModel(record_trace=True)
    for index in range(3000):
        model.submit(index * 10, (index * 7919 % 4096) * 16, index % 5 == 0)
    model.advance(cycles)
    assert model.num_pending == 0
    return model


# By hand: V x mA x cycles x ns per cycle.
@pytest.mark.parametrize(
    ("command", "expected_pj"),
    [
        ("ACT", 1.35 * 1.25 * (66 * 39 - 47 * 28 - 32 * 11)),
        ("RD", 1.35 * 1.25 * 4 * (235 - 47)),
        ("WR", 1.35 * 1.25 * 4 * (171 - 47)),
        ("REF", 1.35 * 1.25 * 208 * (235 - 47)),
    ],
)
def test_a_command_costs_what_the_idd_formula_says(command, expected_pj):
    assert command_energy_pj(preset(NAME))[command] == pytest.approx(expected_pj, rel=1e-9)


def test_known_command_energies():
    rounded = {command: round(pj) for command, pj in command_energy_pj(preset(NAME)).items()}
    assert rounded == {"ACT": 1529, "RD": 1269, "WR": 837, "REF": 65988}


def test_standby_power_is_known():
    """63 mW with an open row, 43 mW precharged."""
    table = load_table()
    idle = DramModel()
    idle.advance(6240)
    seconds = 6240 * 1.25e-9
    watts = dram_energy(idle.stats(), table)["background_pj"] * 1e-12 / seconds
    assert watts == pytest.approx(1.35 * 0.032)
    busy = DramModel()
    busy.submit(0, 0, False)
    busy.advance(6240)
    watts = dram_energy(busy.stats(), table)["active_standby_pj"] * 1e-12 / seconds
    assert watts == pytest.approx(1.35 * 0.047)


def test_a_run_costs_the_sum_of_its_trace(tmp_path):
    """An independent pricer over the CSV trace: commands, then standby cycle by cycle."""
    model = mixed_run()
    write_trace(tmp_path / "trace.csv", model.trace)
    lines = (tmp_path / "trace.csv").read_text().splitlines()[1:]
    events = {int(line.split(",")[0]): (line.split(",")[1], int(line.split(",")[2])) for line in lines}
    price = {"ACT": 906, "RD": 188 * 4, "WR": 124 * 4, "REF": 188 * 208}  # mA x cycles above standby
    commands_ma, standby_ma, open_banks, refresh_end = 0, 0, set(), 0
    for cycle in range(model.now):
        command, bank = events.get(cycle, ("", 0))
        commands_ma += price.get(command, 0)
        if command == "ACT":
            open_banks.add(bank)
        elif command == "PRE":
            open_banks.discard(bank)
        elif command == "PREA":
            open_banks.clear()
        elif command == "REF":
            refresh_end = cycle + 208
        standby_ma += 47 if open_banks or cycle < refresh_end else 32
    priced = dram_energy(model.stats(), load_table())
    assert priced["dynamic_pj"] + priced["refresh_pj"] == pytest.approx(commands_ma * 1.35 * 1.25)
    assert priced["background_pj"] == pytest.approx(standby_ma * 1.35 * 1.25)
    assert priced["total_pj"] == pytest.approx((commands_ma + standby_ma) * 1.35 * 1.25)


def test_an_old_run_can_be_priced_from_its_json():
    stats = mixed_run().stats()
    again = DramStats.from_dict(json.loads(json.dumps(stats.as_dict())))
    for name in TABLE_NAMES:
        assert dram_energy(again, load_table(name)) == dram_energy(stats, load_table(name))


def test_the_convention_prices_bits_and_nothing_else():
    stats = mixed_run().stats()
    priced = energy(
        dram=stats,
        sram=[SramActivity(name="weight_buffer", capacity_bytes=1 << 20, word_bits=64, reads=10, writes=5)],
        logic=[
            LogicActivity(name="array.adds", op="add", bits=14, count=1000),
            LogicActivity(name="neuron.compares", op="compare", bits=14, count=1000),
        ],
        table=load_table("convention"),
    )
    assert priced["dram"]["dynamic_pj"] == (stats.read_bytes + stats.write_bytes) / 4 * 640
    assert priced["dram"]["background_pj"] == priced["dram"]["refresh_pj"] == 0
    assert priced["on_chip_pj"] == {"weight_buffer": 15 * 2 * 5, "array.adds": 900, "neuron.compares": 0}
    assert priced["total_pj"] == priced["dram"]["dynamic_pj"] + 150 + 900


def test_the_parts_add_up():
    priced = energy(
        dram=mixed_run().stats(),
        sram=[SramActivity(name="spike_buffer", capacity_bytes=3000, word_bits=36, reads=7, writes=2)],
        logic=[LogicActivity(name="array.adds", op="add", bits=14, count=11)],
    )
    dram = priced["dram"]
    assert dram["dynamic_pj"] == dram["act_pre_pj"] + dram["rd_pj"] + dram["wr_pj"]
    assert dram["total_pj"] == dram["dynamic_pj"] + dram["refresh_pj"] + dram["background_pj"]
    assert priced["on_chip_total_pj"] == pytest.approx(sum(priced["on_chip_pj"].values()))
    assert priced["dynamic_total_pj"] == dram["dynamic_pj"] + priced["on_chip_total_pj"]
    assert priced["total_pj"] == dram["total_pj"] + priced["on_chip_total_pj"]
    assert priced["on_chip_pj"]["array.adds"] == pytest.approx(11 * 14 * 0.21 / 32)


# Capacity, word bits, expected pJ. CACTI's entries; log-log between them; below the first its value; linear in width.
@pytest.mark.parametrize(
    ("capacity_bytes", "word_bits", "expected_pj"),
    [
        (1024, 64, 0.89),
        (512, 64, 0.89),
        (1023, 64, 0.89),
        (8192, 64, 3.62),
        (8192, 32, 1.81),
        (8192, 128, 7.24),
        (2048, 64, math.sqrt(0.89 * 2.69)),
        (524288, 64, 31.67),
        (1048576, 64, 31.67 * 31.67 / 23.01),
    ],
)
def test_sram_energy_is_interpolated_by_rule(capacity_bytes, word_bits, expected_pj):
    assert load_table().sram_read_pj(capacity_bytes, word_bits) == pytest.approx(expected_pj)
    assert load_table().sram_write_pj(capacity_bytes, word_bits) == pytest.approx(expected_pj)


def test_sram_energy_grows_with_capacity():
    table = load_table()
    energies = [table.sram_read_pj(capacity, 64) for capacity in range(256, 1 << 20, 1024)]
    assert energies == sorted(energies)


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_every_constant_has_a_source(name):
    table = load_table(name)
    assert set(table.logic) == {"add", "multiply", "register", "compare", "shift", "mux", "and", "popcount"}
    for constant in table.logic.values():
        assert constant.source
        assert constant.node
        assert constant.energy_pj(8) >= 0
    assert not table.logic["add"].is_guess


def test_users_may_bring_a_table(tmp_path):
    path = tmp_path / "mine.json"
    constant = {"unit": "pJ/bit", "node": "7 nm", "source": "mine"}
    logic = {"add": {"value": 0.5, "unit": "pJ/op", "node": "7 nm", "source": "mine"}}
    transfer = {"method": "per_bit", "transfer": constant | {"value": 2}}
    path.write_text(json.dumps({"name": "mine", "dram": transfer, "sram": transfer, "logic": logic}))
    assert load_table(path).sram_read_pj(1, 8) == 16
    with pytest.raises(ConfigError, match="an operation must be one of add, not 'mux'"):
        load_table(path).logic_pj("mux", 1)


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "x"}', '{"name": "x", "dram": {"method": "guess"}, "sram": {}}'])
def test_damaged_tables_are_refused(tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.json: an energy table must be readable"):
        load_table(path)


def test_bad_activities_are_refused():
    with pytest.raises(ConfigError, match="must be datasheet or convention, or a JSON file, not 'nowhere'"):
        load_table("nowhere")
    with pytest.raises(ConfigError, match=r"a\.reads: must be at least 0, not -1"):
        SramActivity(name="a", capacity_bytes=1, word_bits=1, reads=-1)
    with pytest.raises(ConfigError, match=r"a\.bits: must be at least 1, not 0"):
        LogicActivity(name="a", op="add", bits=0, count=1)
    twice = [LogicActivity(name="a", op="add", bits=1, count=1)] * 2
    with pytest.raises(ConfigError, match="names of activities must be unique, not 'a'"):
        energy(dram=mixed_run().stats(), logic=twice)
