"""Bit layouts: what goes in comes out, and nothing that does not fit goes in."""

import numpy as np
import pytest

from s2nn.hw.spec.config import DESCRIPTOR_BYTES
from s2nn.hw.spec.descriptor import DESCRIPTOR, Opcode
from s2nn.hw.spec.errors import ImageFormatError
from s2nn.hw.spec.fields import Field, Layout
from s2nn.hw.spec.registers import (
    ADDRESS_BITS,
    COUNTER_BASE,
    COUNTERS,
    IDENTITY,
    OFFSET,
    REGISTERS,
    Cause,
    Stream,
)

ZERO = {field.name: 0 for field in DESCRIPTOR.fields}


@pytest.mark.parametrize("field", DESCRIPTOR.fields, ids=lambda field: field.name)
def test_each_field_on_both_sides_of_its_limit(field):
    for value in (0, 1, field.limit):
        assert DESCRIPTOR.unpack(DESCRIPTOR.pack(ZERO | {field.name: value}))[field.name] == value
    for value in (-1, field.limit + 1):
        with pytest.raises(ImageFormatError, match=rf"descriptor: {field.name}: must lie in 0\.\.{field.limit}"):
            DESCRIPTOR.pack(ZERO | {field.name: value})


def test_fields_do_not_overlap():
    seen = 0
    for position, field in DESCRIPTOR:
        mask = field.limit << position
        assert DESCRIPTOR.pack(ZERO | {field.name: field.limit}) == mask
        assert not seen & mask
        seen |= mask
    assert seen == (1 << DESCRIPTOR.used_bits) - 1
    assert DESCRIPTOR.used_bits <= 8 * DESCRIPTOR_BYTES


@pytest.mark.parametrize("seed", range(20))
def test_random_descriptors_come_back(seed):
    rng = np.random.default_rng(seed)
    values = {field.name: int(rng.integers(0, field.limit, endpoint=True)) for field in DESCRIPTOR.fields}
    assert DESCRIPTOR.unpack(DESCRIPTOR.pack(values)) == values


@pytest.mark.parametrize("bit", [DESCRIPTOR.used_bits, 8 * DESCRIPTOR_BYTES - 1])
def test_a_reserved_bit_is_refused(bit):
    with pytest.raises(ImageFormatError, match="reserved bits must be zero"):
        DESCRIPTOR.unpack(1 << bit)


def test_missing_and_unknown_fields_are_refused():
    with pytest.raises(ImageFormatError, match=r"exactly the fields.*\['pool'\]"):
        DESCRIPTOR.pack({name: value for name, value in ZERO.items() if name != "pool"})
    with pytest.raises(ImageFormatError, match=r"exactly the fields.*\['colour'\]"):
        DESCRIPTOR.pack(ZERO | {"colour": 0})


@pytest.mark.parametrize(("bits", "names"), [((5, 4), "ab"), ((4, 4), "aa")])
def test_a_layout_that_cannot_be_is_refused(bits, names):
    with pytest.raises(ValueError, match="bits of fields in 8 bits"):
        Layout("small", total_bits=8, fields=[Field(name, width, "") for name, width in zip(names, bits, strict=True)])


def test_an_empty_memory_holds_no_opcode():
    assert 0 not in set(Opcode)


def test_registers_are_words_in_order_without_overlap():
    offsets = [register.offset for register in REGISTERS]
    assert offsets == sorted(set(offsets))
    assert all(offset % 4 == 0 for offset in offsets)
    assert max(offsets) < 1 << ADDRESS_BITS
    assert [OFFSET[name] for name in COUNTERS] == [COUNTER_BASE + 4 * i for i in range(len(COUNTERS))]
    assert IDENTITY.to_bytes(4, "little") == b"S2NN"


def test_counters_name_each_cause_and_stream_once():
    assert len(set(COUNTERS)) == len(COUNTERS)
    assert [name for name in COUNTERS if name.startswith("cycles.")] == [
        "cycles.total", *(f"cycles.{cause.name.lower()}" for cause in Cause)]
    for stream in Stream:
        assert {f"dram.{stream.name.lower()}_read_{unit}" for unit in ("bytes", "bursts")} <= set(COUNTERS)
