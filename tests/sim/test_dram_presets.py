"""Presets and users' tables: what they hold, and how a bad file is refused."""

from dataclasses import replace
from importlib.resources import files

import pytest

from s2nn.hw.sim.dram import DEFAULT_PRESET, PRESET_NAMES, load_standard, preset
from s2nn.hw.sim.dram.rows import SHARED_ROWS
from s2nn.hw.sim.dram.standard import Level, Organisation, Timing
from s2nn.hw.spec.errors import ConfigError

TABLE = files("s2nn.hw.sim.dram").joinpath("tables", f"{DEFAULT_PRESET}.toml").read_text()


# Capacity in bits, page in bytes, burst in bytes, data rate in MT/s.
@pytest.mark.parametrize(
    ("name", "gigabits", "row_bytes", "burst_bytes", "megatransfers"),
    [
        ("ddr3-1600k-4gb-x16", 4, 2048, 16, 1600),
        ("ddr3l-1600-4gb-x16", 4, 2048, 16, 1600),
        ("ddr4-2400-8gb-x16", 8, 2048, 16, 2400),
        ("lpddr4-3200-8gb-x16", 8, 2048, 32, 3200),
        ("ddr4-2400-8gb-x16:64", 32, 8192, 64, 2400),
    ],
)
def test_shape_of_the_presets(name, gigabits, row_bytes, burst_bytes, megatransfers):
    standard = preset(name)
    organisation = standard.organisation
    assert standard.name == name
    assert organisation.capacity_bytes * 8 == gigabits << 30
    assert (organisation.row_bytes, organisation.burst_bytes) == (row_bytes, burst_bytes)
    assert 2e6 / standard.timing.t_ck_ps == pytest.approx(megatransfers, rel=1e-3)
    assert organisation.burst_length == 2 * standard.timing.n_bl


@pytest.mark.parametrize("name", ["ddr9", "", "ddr4-2400-8gb-x16:", "ddr4-2400-8gb-x16:wide", "ddr4-2400-8gb-x16.tml"])
def test_unknown_presets_are_refused(name):
    with pytest.raises(ConfigError, match=r"must be one of ddr3-1600k.*for a wider bus, not") as refused:
        load_standard(name)
    assert refused.value.value == name


@pytest.mark.parametrize("width", [0, 8, 24, 48])
def test_a_bus_is_made_of_whole_devices(width):
    with pytest.raises(ConfigError, match=r"multiple of the device's 16 bits|power of two"):
        preset(f"ddr4-2400-8gb-x16:{width}")


@pytest.fixture
def user_file(tmp_path):
    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


def test_a_users_table_may_have_our_fields(user_file):
    assert load_standard(user_file(TABLE)) == preset(DEFAULT_PRESET)
    faster = load_standard(user_file(TABLE.replace("n_rcd = 11", "n_rcd = 9").replace(DEFAULT_PRESET, "mine")))
    assert (faster.name, faster.timing.n_rcd) == ("mine", 9)
    assert next(row.latency for row in faster.constraints if row.rule == "tRCD") == 9


def test_a_users_table_may_bring_its_rows(user_file):
    rows = """
[[constraints]]
rule = "tRCD"
level = "bank"
preceding = ["ACT"]
following = ["RD", "WR"]
latency = "n_rcd + 2 - 1"

[[constraints]]
rule = "tFAW"
level = "rank"
preceding = ["ACT"]
following = ["ACT"]
latency = 40
window = 4
"""
    standard = load_standard(user_file(TABLE.replace('constraints = "sdram"', "") + rows))
    assert [(row.rule, row.level, row.latency, row.window) for row in standard.constraints] == [
        ("tRCD", Level.BANK, 12, 1),
        ("tFAW", Level.RANK, 40, 4),
    ]


def changed(old: str, new: str) -> str:
    assert old in TABLE
    return TABLE.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[timing", r"mine\.toml: must be TOML"),
        (changed("n_faw = 32\n", ""), r"mine\.toml: timing\.n_faw: must be given"),
        (changed("n_faw = 32", "n_faww = 32"), r"mine\.toml: timing: a key must be one of n_bl, .*, not 'n_faww'"),
        (changed("n_faw = 32", "n_faw = 32.5"), r"mine\.toml: timing\.n_faw: must be a whole number, not 32\.5"),
        (changed("n_faw = 32", "n_faw = true"), r"mine\.toml: timing\.n_faw: must be a whole number, not True"),
        (changed("n_faw = 32", "n_faw = 0"), r"mine\.toml: timing\.n_faw: must be at least 1, not 0"),
        (changed("n_rc = 39", "n_rc = 38"), r"mine\.toml: timing\.n_rc: must be at least n_ras \+ n_rp = 39, not 38"),
        (changed("n_refi = 6240", "n_refi = 208"),
         r"mine\.toml: timing\.n_refi: must be more than n_rfc = 208, not 208$"),
        (changed("num_banks = 8", "num_banks = 6"), r"mine\.toml: organisation\.num_banks: .* power of two, not 6"),
        (changed("idd0_ma = 66", "idd0_ma = -1"), r"mine\.toml: rails\[0\]\.idd0_ma: must not be negative, not -1"),
        (changed("idd0_ma = 66", "idd0_ma = nan"), r"mine\.toml: rails\[0\]\.idd0_ma: must be a number, not nan"),
        (changed('name = "VDD"', "name = 3"), r"mine\.toml: rails\[0\]\.name: must be a text, not 3"),
        (changed("[[rails]]", "[rails]"), r"mine\.toml: rails: must be tables \[\[rails\]\]"),
        (changed('name = "ddr3l-1600-4gb-x16"', 'name = "a:b"'), r"mine\.toml: name: must be a text without ':'"),
        (changed('"sdram"', '"sdr"'), r"mine\.toml: constraints: must be sdram or lpddr4, or rows .*, not 'sdr'"),
        (changed('constraints = "sdram"', "surprise = 1"), r"mine\.toml: a key must be one of .*, not 'surprise'"),
    ],
)
def test_a_bad_table_is_refused_with_file_field_rule_and_value(user_file, text, message):
    with pytest.raises(ConfigError, match=message):
        load_standard(user_file(text))


ROW = {"rule": '"tX"', "level": '"bank"', "preceding": '["ACT"]', "following": '["RD"]', "latency": '"n_rcd"'}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"level": '"chip"'}, r"constraints\[0\]\.level: must be bank, bank_group, rank, not 'chip'"),
        ({"preceding": '["ACT", "NOP"]'}, r"constraints\[0\]\.preceding: a command must be one of ACT, .*, not 'NOP'"),
        ({"following": "[]"}, r"constraints\[0\]\.following: must be a list of commands"),
        ({"latency": '"n_cl n_bl"'}, r"tX: a latency must be a sum of n_\* parameters and numbers, not 'n_cl n_bl'"),
        ({"latency": '"n_cl * 2"'}, r"tX: a latency must be a sum"),
        ({"latency": '"n_none"'}, r"tX: a latency must name parameters of \[timing\], not 'n_none'"),
        ({"latency": '"n_cl - n_cl"'}, r"tX: a latency must be at least 1 cycle, not 0"),
        ({"latency": "1.5"}, r"constraints\[0\]\.latency: must be a whole number, not 1\.5"),
        ({"rule": "7"}, r"constraints\[0\]\.rule: must be a text, not 7"),
        ({"colour": '"red"'}, r"constraints\[0\]: a key must be one of .*, not 'colour'"),
    ],
)
def test_a_bad_row_is_refused(user_file, changes, message):
    rows = "\n[[constraints]]\n" + "\n".join(f"{key} = {value}" for key, value in (ROW | changes).items())
    with pytest.raises(ConfigError, match=r"mine\.toml: " + message):
        load_standard(user_file(TABLE.replace('constraints = "sdram"', "") + rows))


def test_a_file_must_be_there_and_be_text(tmp_path):
    with pytest.raises(ConfigError, match=r"file must exist, not '.*nowhere\.toml'"):
        load_standard(tmp_path / "nowhere.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"binary\.toml: must be UTF-8"):
        load_standard(tmp_path / "binary.toml")


def test_bad_shapes_are_refused():
    good = {"num_banks": 8, "num_rows": 8, "num_columns": 8, "device_width_bits": 16, "burst_length": 8}
    for changes, message in (
        ({"num_banks": 6}, "num_banks: must be a power of two, not 6"),
        ({"burst_length": 16}, "a burst must fit a row, not 16"),
        ({"device_width_bits": 4}, "at least 8 bits wide, not 4"),
        ({"num_bank_groups": 16}, "num_bank_groups: must be at most num_banks = 8, not 16"),
    ):
        with pytest.raises(ConfigError, match=message):
            Organisation(**good | changes)
    with pytest.raises(ConfigError, match="n_turn: must be at least 0, not -1"):
        replace(preset(DEFAULT_PRESET).timing, n_turn=-1)


def test_every_timing_parameter_is_used_by_a_row_or_the_controller():
    used = " ".join(row.latency for rows in SHARED_ROWS.values() for row in rows)
    unused = {name for name in Timing.__dataclass_fields__ if name not in used.replace("+", " ").split()}
    assert unused - {"n_bl", "n_cl", "n_cwl"} == {"t_ck_ps", "n_refi"}


def test_each_preset_has_a_table_and_each_table_a_preset():
    tables = files("s2nn.hw.sim.dram").joinpath("tables").iterdir()
    assert sorted(path.name for path in tables) == sorted(f"{name}.toml" for name in PRESET_NAMES)
