"""The configuration: every rule on both sides of its limit, derived numbers, and what the digest names."""

from dataclasses import fields, replace

import pytest

from s2nn.hw.spec.config import PRESETS, SMALL, TINY, ULX3S, AcceleratorConfig, ceil_div, preset
from s2nn.hw.spec.errors import ConfigError

# field, values that are accepted, values that are refused, other fields that the values need
RULES = [
    ("weight_format", ["codebook", "binary"], ["ternary", ""], {}),
    ("lanes", [8, 16, 64], [1, 3, 12, 128, 4], {}),  # 64 data bits: at most 64 lanes, at least 64/9
    ("time_lanes", [1, 2, 4, 8], [3, 16], {"max_chunks": 8}),
    ("index_bits", [2, 6], [1, 7], {}),
    ("axi_data_bits", [32, 64, 128], [16, 48, 256], {}),  # 256 bits would need more than 16 lanes
    ("weight_rows", [1, 512], [0, 500], {}),
    ("resident_rows", [0, 1, 65536], [-1, 65537], {}),
    ("spike_words", [1, 2048], [0, 1000], {}),
    ("accumulator_bits", [8, 23], [7, 24], {}),  # must stay below 24 membrane bits
    ("accumulator_bits", [31], [32], {"membrane_bits": 32}),
    ("membrane_bits", [21, 32], [20, 33], {}),
    ("fraction_bits", [0, 8], [-1, 9], {}),
    ("leak_bits", [1, 8], [0, 9], {}),
    ("max_chunks", [2, 63], [1, 64], {}),  # the eight planes of a pixel are two chunks of four
    ("clock_mhz", [1], [0], {}),
]
CASES = [(field, value, accepted, others) for field, good, bad, others in RULES
         for accepted, values in ((True, good), (False, bad)) for value in values]


@pytest.mark.parametrize(("field", "value", "accepted", "others"), CASES)
def test_each_rule_on_both_sides(field, value, accepted, others):
    if accepted:
        assert getattr(replace(ULX3S, **{field: value}, **others), field) == value
    else:
        with pytest.raises(ConfigError, match="AcceleratorConfig: "):
            replace(ULX3S, **{field: value}, **others)


def test_the_message_gives_rule_and_value():
    with pytest.raises(ConfigError) as caught:
        replace(ULX3S, lanes=12)
    assert str(caught.value) == "AcceleratorConfig: lanes: must be a power of two, at least 2, not 12"
    assert (caught.value.field, caught.value.value) == ("lanes", 12)


def test_derived_numbers_of_a_configuration():
    assert (ULX3S.word_bits, ULX3S.pixel_chunks, ULX3S.axi_bytes, ULX3S.slices_per_beat) == (64, 2, 8, 4)
    assert (ULX3S.descriptor_beats, ULX3S.params_beats, ULX3S.logits_beats) == (8, 8, 8)
    assert (ULX3S.codebook_entries, ULX3S.clock_period_ps) == (64, 10_000)
    assert replace(ULX3S, resident_rows=5).weight_bank_rows == 2 * 1024 + 5
    assert ULX3S.weight_buffer_bytes == 9 * 2 * 1024 * 16 // 8
    assert ULX3S.spike_buffer_bytes == 9 * 4096 * 64 // 8
    assert (TINY.word_bits, TINY.pixel_chunks, TINY.slices_per_beat, TINY.descriptor_beats) == (8, 4, 8, 16)


@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
def test_whole_beats_hold_a_tile(config):
    for beats, size_bytes in ((config.params_beats, 4 * config.lanes), (config.logits_beats, 4 * config.lanes),
                              (config.descriptor_beats, 64)):
        assert beats >= 1
        assert beats * config.axi_bytes == size_bytes


def test_the_digest_names_everything_but_the_name():
    assert replace(TINY, name="other").digest == TINY.digest
    changed = {"weight_format": "binary", "lanes": 8, "time_lanes": 4, "index_bits": 5, "axi_data_bits": 64,
               "weight_rows": 512, "resident_rows": 1, "spike_words": 256, "membrane_words": 8, "accumulator_bits": 19,
               "membrane_bits": 25, "fraction_bits": 3,
               "current_bits": 4, "leak_bits": 7, "max_chunks": 5, "clock_mhz": 99}
    assert set(changed) == {field.name for field in fields(AcceleratorConfig)} - {"name"}
    others = {"axi_data_bits": {"lanes": 8}}
    digests = {replace(TINY, **{name: value}, **others.get(name, {})).digest for name, value in changed.items()}
    assert len(digests | {TINY.digest}) == len(changed) + 1
    assert len(TINY.digest) == 8


def test_the_twin_differs_in_its_format_alone():
    twin = SMALL.as_binary()
    assert (twin.weight_format, twin.is_codebook, SMALL.is_codebook) == ("binary", False, True)
    assert replace(twin, weight_format="codebook") == SMALL


def test_json_round_trip_is_strict():
    assert AcceleratorConfig.from_json(ULX3S.to_json()) == ULX3S
    for document in (ULX3S.to_json() | {"colour": 1}, {"lanes": 16}):
        with pytest.raises(ConfigError, match="exactly the fields"):
            AcceleratorConfig.from_json(document)


def test_presets_go_by_name():
    assert preset("tiny") is TINY
    with pytest.raises(ConfigError, match="preset must be one of tiny, small, ulx3s, asic, not 'giant'"):
        preset("giant")


def test_a_preset_with_changes_is_named_after_them():
    changed = preset("tiny", {"spike_words": 64, "lanes": 8})
    assert changed == replace(TINY, spike_words=64, lanes=8, name="tiny-lanes8-spike_words64")
    assert preset("tiny", {}) is TINY
    with pytest.raises(ConfigError, match=r"changes: must be one of accumulator_bits, .*, not 'weight_format'"):
        preset("tiny", {"weight_format": 1})
    with pytest.raises(ConfigError, match="lanes"):
        preset("tiny", {"lanes": 3})


@pytest.mark.parametrize(("numerator", "denominator", "quotient"), [(0, 4, 0), (1, 4, 1), (4, 4, 1), (5, 4, 2)])
def test_ceil_div(numerator, denominator, quotient):
    assert ceil_div(numerator, denominator) == quotient
