"""What the on-chip parts did, in the terms of the energy tables: accesses to memories and operations in logic.

Counted from the performance counters, which the RTL was checked against:

    weight buffer   one bank read of `lanes` bits per bit of a symbol, one bank write per slice
    spike buffer    nine bank reads of one word per window, one write per word
    codebook        one nine-bit entry per lane and active window of a codebook layer, through a multiplexer as deep as
                    the index is wide
    PE array        a popcount of nine and an accumulation per lane and time lane with a spike, and once more for the
                    count that all lanes share
    neurons         per update: the leak's multiplication, two additions, a comparison and a register

Not priced: clock tree, control, the DMA's buffers, leakage; nor the toggling of lanes without a spike.
"""

from collections.abc import Sequence

from s2nn.hw.sim.activity import Activity
from s2nn.hw.sim.energy import LogicActivity, SramActivity
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig
from s2nn.hw.spec.program import Program


def on_chip_activities(config: AcceleratorConfig, program: Program,
                       activities: Sequence[Activity]) -> tuple[list[SramActivity], list[LogicActivity]]:
    """Memory accesses and logic operations of the runs of all images together."""
    counts = {name: sum(activity.total[name] for activity in activities) for name in activities[0].total}
    word_bits, adds, updates = config.word_bits, counts["array.adds"], counts["neuron.updates"]
    accumulations = adds + adds // config.lanes
    memories = [
        SramActivity(name="weight_buffer", capacity_bytes=2 * config.weight_rows * config.lanes // 8,
                     word_bits=config.lanes, reads=counts["weight_buffer.slice_reads"],
                     writes=counts["weight_buffer.slice_writes"]),
        SramActivity(name="spike_buffer", capacity_bytes=config.spike_words * word_bits // 8, word_bits=word_bits,
                     reads=GROUP_TAPS * counts["spike_buffer.window_reads"],
                     writes=counts["spike_buffer.word_writes"]),
    ]
    logic = [
        LogicActivity(name="array_popcount", op="popcount", bits=GROUP_TAPS, count=accumulations),
        LogicActivity(name="array_accumulate", op="add", bits=config.accumulator_bits, count=accumulations),
        LogicActivity(name="neuron_leak", op="multiply", bits=config.membrane_bits, count=updates),
        LogicActivity(name="neuron_add", op="add", bits=config.membrane_bits, count=2 * updates),
        LogicActivity(name="neuron_compare", op="compare", bits=config.membrane_bits, count=updates),
        LogicActivity(name="neuron_membrane", op="register", bits=config.membrane_bits, count=updates),
    ]
    lookups, levels = _lookups(config, program, activities)
    if lookups:
        logic += [LogicActivity(name="codebook_entry", op="register", bits=GROUP_TAPS, count=lookups),
                  LogicActivity(name="codebook_select", op="mux", bits=GROUP_TAPS, count=levels)]
    return memories, logic


def _lookups(config: AcceleratorConfig, program: Program, activities: Sequence[Activity]) -> tuple[int, int]:
    """Codebook look-ups of all lanes, and the multiplexer levels that they pass."""
    lookups = levels = 0
    for activity in activities:
        for layer, (_, counters) in zip(program.layers, activity.steps[1:], strict=True):
            if layer.weights.codebook is not None:
                count = config.lanes * counters["array.active_windows"]
                lookups += count
                levels += count * layer.weights.symbol_bits
    return lookups, levels
