"""What the DRAM model refuses of requests, and where its address maps put them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2nn.hw.sim.dram import DEFAULT_PRESET, DramModel, EngineName, preset
from s2nn.hw.sim.dram.address import AddressMap, Mapping
from s2nn.hw.sim.dram.rows import SHARED_ROWS
from s2nn.hw.spec.errors import SimulationError
from tests.sim.dram_reference import STANDARDS

STANDARD = preset(DEFAULT_PRESET)


@pytest.mark.parametrize("engine", EngineName)
def test_what_was_decided_cannot_be_changed(engine):
    model = DramModel(engine=engine)
    assert model.submit(5, 0, False) == 0
    assert model.completion_cycle(0) is None
    with pytest.raises(SimulationError, match="not before cycle 5, not 4"):
        model.submit(4, 0, False)
    model.advance(50)
    with pytest.raises(SimulationError, match="not before cycle 50, not 49"):
        model.submit(49, 0, False)
    model.advance(20)
    assert model.now == 50
    with pytest.raises(SimulationError, match="a request must be one of 1, not 1"):
        model.completion_cycle(1)


@pytest.mark.parametrize("address", [-16, 512 << 20])
def test_addresses_outside_are_refused(address):
    with pytest.raises(SimulationError, match="must lie in"):
        DramModel().submit(0, address, False)
    with pytest.raises(SimulationError, match="must lie in"):
        DramModel().submit_all([0, address], [False, False])


def test_unaligned_addresses_are_refused():
    with pytest.raises(SimulationError, match="multiple of 16 bytes, not 8"):
        DramModel().submit(0, 8, False)


def test_batches_must_be_in_order_and_of_one_length():
    with pytest.raises(SimulationError, match="arrivals must be in order, after 7, not 6"):
        DramModel().submit_all([0, 16, 32], [False] * 3, [3, 7, 6])
    with pytest.raises(SimulationError, match="one length"):
        DramModel().submit_all([0, 16], [False])


def test_the_default_address_map_is_row_bank_column():
    address_map = AddressMap(STANDARD.organisation)
    assert address_map.locate(0) == (0, 0, 0)
    assert address_map.locate(16) == (0, 0, 8)
    assert address_map.locate(2048) == (1, 0, 0)
    assert address_map.locate(8 * 2048) == (0, 1, 0)
    last = (512 << 20) - 16
    assert address_map.locate(last) == (7, 32767, 1016)


# Bank (over both groups), row and column of consecutive bursts, of consecutive pages and of the next row, DDR4.
@pytest.mark.parametrize(
    ("mapping", "second_burst", "byte_4096", "next_row"),
    [
        (Mapping.ROW_BANK_COLUMN_GROUP, (4, 0, 0), (1, 0, 0), (0, 1, 0)),
        (Mapping.ROW_BANK_COLUMN, (0, 0, 8), (2, 0, 0), (0, 1, 0)),
        (Mapping.ROW_COLUMN_BANK, (4, 0, 0), (0, 0, 256), (0, 1, 0)),
        (Mapping.ROW_BANK_COLUMN_GROUP_XOR, (4, 0, 0), (1, 0, 0), (1, 1, 0)),
        (Mapping.ROW_COLUMN_BANK_XOR, (4, 0, 0), (0, 0, 256), (1, 1, 0)),
    ],
)
def test_address_maps_place_bursts(mapping, second_burst, byte_4096, next_row):
    address_map = AddressMap(preset("ddr4-2400-8gb-x16").organisation, mapping)
    assert [address_map.locate(address) for address in (16, 4096, 8 * 2048)] == [second_burst, byte_4096, next_row]


@given(st.sampled_from(STANDARDS), st.sampled_from(Mapping), st.integers(0, (1 << 25) - 1))
def test_every_address_map_is_one_to_one(standard, mapping, burst):
    address_map = AddressMap(standard.organisation, mapping)
    address = burst * address_map.burst_bytes
    assert address_map.address(address_map.locate(address)) == address
    assert [int(part[0]) for part in address_map.locate_all(np.array([address]))] == list(address_map.locate(address))


def test_shared_rows_are_whole():
    assert {row.rule for row in SHARED_ROWS["sdram"]} <= {row.rule for row in SHARED_ROWS["lpddr4"]}
