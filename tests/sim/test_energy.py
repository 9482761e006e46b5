"""Energies equal the hand formula; a run's energy is the sum of its commands'; tables give what they say."""

import json
import math
from dataclasses import replace

import pytest

from s2nn.hw.sim.dram import PRESET_NAMES, ControllerConfig, DramModel, DramStats, preset, write_trace
from s2nn.hw.sim.energy import (
    LogicActivity,
    SramActivity,
    command_energy_pj,
    dram_energy,
    energy,
    standby_energy_pj,
)
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


# By hand, per device: V x mA x cycles x ns per cycle, for each rail. Ref: the IDD formula of Micron TN-41-01.
HAND_PJ = {
    "ddr3l-1600-4gb-x16": {
        "ACT": 1.35 * 1.25 * (66 * 39 - 47 * 28 - 32 * 11),
        "RD": 1.35 * 1.25 * 4 * (235 - 47),
        "WR": 1.35 * 1.25 * 4 * (171 - 47),
        "REF": 1.35 * 1.25 * 208 * (235 - 47),
    },
    "ddr3-1600k-4gb-x16": {
        "ACT": 1.5 * 1.25 * (66 * 39 - 47 * 28 - 32 * 11),
        "RD": 1.5 * 1.25 * 4 * (235 - 47),
        "WR": 1.5 * 1.25 * 4 * (171 - 47),
        "REF": 1.5 * 1.25 * 208 * (235 - 47),
    },
    "ddr4-2400-8gb-x16": {
        "ACT": 1.2 * 0.833 * (80 * 56 - 47 * 39 - 34 * 17),
        "RD": 1.2 * 0.833 * 4 * (243 - 47),
        "WR": 1.2 * 0.833 * 4 * (228 - 47),
        "REF": 1.2 * 0.833 * 420 * (280 - 47),
    },
    "lpddr4-3200-8gb-x16": {
        "ACT": 0.625 * (1.8 * (3.5 * 97 - 2.25 * 68 - 2 * 29) + 1.1 * (45 * 97 - 30 * 68 - 27 * 29)),
        "RD": 0.625 * 8 * 1.1 * (275 - 30),
        "WR": 0.625 * 8 * 1.1 * (210 - 30),
        "REF": 0.625 * 448 * (1.8 * (10 - 2.25) + 1.1 * (90 - 30)),
    },
}


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_a_command_costs_what_the_idd_formula_says(name):
    assert command_energy_pj(preset(name)) == pytest.approx(HAND_PJ[name], rel=1e-3)
    four_devices = {command: 4 * pj for command, pj in HAND_PJ[name].items()}
    assert command_energy_pj(preset(f"{name}:64")) == pytest.approx(four_devices, rel=1e-3)


def test_known_command_energies():
    rounded = {name: [round(pj) for pj in command_energy_pj(preset(name)).values()] for name in PRESET_NAMES}
    assert rounded["ddr3l-1600-4gb-x16"] == [1529, 1269, 837, 65988]
    assert rounded["ddr4-2400-8gb-x16"][:3] == [2068, 784, 724]
    assert rounded["lpddr4-3200-8gb-x16"][:2] == [1205, 1348]


# mW of one device: with a row open, precharged, in the two power-downs, in self-refresh.
@pytest.mark.parametrize(
    ("name", "active", "precharged", "active_down", "precharged_down", "self_refresh"),
    [
        ("ddr3l-1600-4gb-x16", 1.35 * 47, 1.35 * 32, 1.35 * 38, 1.35 * 18, 1.35 * 20),
        ("ddr4-2400-8gb-x16", 1.2 * 47, 1.2 * 34, 1.2 * 41, 1.2 * 25, 1.2 * 30),
        ("lpddr4-3200-8gb-x16", 1.8 * 2.25 + 1.1 * 30, 1.8 * 2 + 1.1 * 27, 1.8 * 1.2 + 1.1 * 9, 1.8 * 1.2 + 1.1 * 3,
         1.8 * 0.3 + 1.1 * 0.5),
    ],
)
def test_standby_power_is_known(name, active, precharged, active_down, precharged_down, self_refresh):
    standard = preset(name)
    milliwatts = {state: pj / standard.timing.t_ck_ps * 1000 for state, pj in standby_energy_pj(standard).items()}
    assert milliwatts == pytest.approx({
        "active_standby": active, "precharge_standby": precharged, "active_power_down": active_down,
        "precharge_power_down": precharged_down, "self_refresh": self_refresh})


def price_trace(csv_path, cycles, standard):
    """An independent pricer: the CSV's commands, then the background cycle by cycle. pJ (commands, background)."""
    timing, commands_pj, background_pj = standard.timing, 0.0, 0.0
    events = {}
    for line in csv_path.read_text().splitlines()[1:]:
        cycle, command, bank, *_ = line.split(",")
        events[int(cycle)] = (command, int(bank))
    open_banks, refresh_end, asleep = set(), 0, None

    def pj(current_cycles):
        return sum(current_cycles(rail) * rail.voltage_mv for rail in standard.rails) * timing.t_ck_ps / 1e6

    above = {
        "ACT": pj(lambda r: r.idd0_ma * timing.n_rc - r.idd3n_ma * timing.n_ras - r.idd2n_ma * timing.n_rp),
        "RD": pj(lambda r: (r.idd4r_ma - r.idd3n_ma) * timing.n_bl),
        "WR": pj(lambda r: (r.idd4w_ma - r.idd3n_ma) * timing.n_bl),
        "REF": pj(lambda r: (r.idd5b_ma - r.idd3n_ma) * timing.n_rfc),
    }
    per_cycle = {name: pj(lambda r, name=name: getattr(r, name)) for name in (
        "idd2n_ma", "idd2p_ma", "idd3n_ma", "idd3p_ma", "idd6_ma")}
    for cycle in range(cycles):
        command, bank = events.get(cycle, ("", 0))
        commands_pj += above.get(command, 0)
        asleep = {"PDE": "down", "SRE": "self", "PDX": None, "SRX": None}.get(command, asleep)
        open_banks = open_banks | {bank} if command == "ACT" else open_banks - {bank} if command == "PRE" else (
            set() if command == "PREA" else open_banks)
        refresh_end = cycle + timing.n_rfc if command == "REF" else refresh_end
        awake = "idd3n_ma" if open_banks or cycle < refresh_end else "idd2n_ma"
        down = "idd3p_ma" if open_banks else "idd2p_ma"
        background_pj += per_cycle[{None: awake, "down": down, "self": "idd6_ma"}[asleep]]
    return commands_pj, background_pj


SLEEPY = ControllerConfig(power_down_after_cycles=30, self_refresh_after_cycles=3000)


@pytest.mark.parametrize("config", [ControllerConfig(), SLEEPY], ids=["awake", "sleepy"])
@pytest.mark.parametrize("name", PRESET_NAMES)
def test_a_run_costs_the_sum_of_its_trace(name, config, tmp_path):
    model = DramModel(name, config=config, record_trace=True)
    burst_bytes = model.address_map.burst_bytes
    for index in range(600):
        pause = 15_000 if index >= 300 else 0
        model.submit(index * 10 + pause + index // 50 * 200, (index * 7919 % 4096) * burst_bytes, index % 5 == 0)
    model.advance(40_000)
    assert model.num_pending == 0
    write_trace(tmp_path / "trace.csv", model.trace)
    commands_pj, background_pj = price_trace(tmp_path / "trace.csv", model.now, model.standard)
    priced = dram_energy(model.stats(), load_table())
    assert priced["dynamic_pj"] + priced["refresh_pj"] == pytest.approx(commands_pj)
    assert priced["background_pj"] == pytest.approx(background_pj)
    assert (priced["self_refresh_pj"] > 0) == (priced["active_power_down_pj"] > 0) == (config is SLEEPY)


def test_the_data_pins_are_priced_on_request():
    stats, table = mixed_run().stats(), load_table()
    core, whole = dram_energy(stats, table), dram_energy(stats, table, with_interface=True)
    pins_pj = 8 * 7.8 * (stats.read_bytes + stats.write_bytes)
    assert core["interface_pj"] == 0
    assert whole["interface_pj"] == pytest.approx(pins_pj)
    assert whole["total_pj"] - core["total_pj"] == pytest.approx(pins_pj)
    without = replace(preset(NAME), interface=None)
    with pytest.raises(ConfigError, match=f"{NAME}: interface: must be given to price the data pins"):
        dram_energy(stats, table, without, with_interface=True)


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
    assert dram["background_pj"] == dram["active_standby_pj"] + dram["precharge_standby_pj"]
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
