"""What the on-chip parts did, in the terms of the energy tables: accesses to memories and operations in logic.

Counted from the performance counters by layer, so that energy is a function of what stats.json holds:

    weight buffer   one bank read of `lanes` bits per bit of a symbol, one bank write per slice
    spike buffer    bank reads and writes of one word
    membrane buffer reads and writes of one word of all lanes' membranes, where the configuration has it
    codebook        one nine-bit entry per lane and active window of a codebook layer, through a multiplexer as deep as
                    the index is wide
    PE array        a popcount of nine and an accumulation per lane and time lane with a spike, and once more for the
                    count that all lanes share
    neurons         per update: the leak's multiplication, two additions, a comparison and a register

Not priced: clock tree, control, the DMA's buffers, leakage, the arithmetic of membrane shortcuts; nor the toggling of
lanes without a spike.
"""

from collections.abc import Mapping, Sequence

from s2nn.hw.sim.energy import LogicActivity, SramActivity
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig

#: Counters that decide the on-chip energy; a layer that does not hold one counts 0.
_COUNTERS = ("array.adds", "neuron.updates", "weight_buffer.slice_reads", "weight_buffer.slice_writes",
             "spike_buffer.word_reads", "spike_buffer.word_writes", "membrane_buffer.word_reads",
             "membrane_buffer.word_writes")


def on_chip_activities(config: AcceleratorConfig, layers: Sequence[Mapping[str, int]], *,
                       spike_bank_bytes: int | None = None) -> tuple[list[SramActivity], list[LogicActivity]]:
    """Memory accesses and logic operations of the steps with these counters, together.

    Parameters
    ----------
    layers : counters of the input load and of each layer, under the names of `s2nn.hw.spec.registers.COUNTERS`.
    spike_bank_bytes : size of one of the nine spike banks; None: that of the configuration.
    """
    counts = {name: sum(counters.get(name, 0) for counters in layers) for name in _COUNTERS}
    word_bits, adds, updates = config.word_bits, counts["array.adds"], counts["neuron.updates"]
    accumulations = adds + adds // config.lanes
    memories = [
        SramActivity(name="weight_buffer", capacity_bytes=config.weight_bank_rows * config.lanes // 8,
                     word_bits=config.lanes, reads=counts["weight_buffer.slice_reads"],
                     writes=counts["weight_buffer.slice_writes"]),
        SramActivity(name="spike_buffer", word_bits=word_bits,
                     capacity_bytes=spike_bank_bytes or config.spike_words * word_bits // 8,
                     reads=counts["spike_buffer.word_reads"],
                     writes=counts["spike_buffer.word_writes"]),
    ]
    if config.membrane_words:
        memories.append(SramActivity(
            name="membrane_buffer", capacity_bytes=config.membrane_buffer_bytes,
            word_bits=config.lanes * config.membrane_bits, reads=counts["membrane_buffer.word_reads"],
            writes=counts["membrane_buffer.word_writes"]))
    logic = [
        LogicActivity(name="array_popcount", op="popcount", bits=GROUP_TAPS, count=accumulations),
        LogicActivity(name="array_accumulate", op="add", bits=config.accumulator_bits, count=accumulations),
        LogicActivity(name="neuron_leak", op="multiply", bits=config.membrane_bits, count=updates),
        LogicActivity(name="neuron_add", op="add", bits=config.membrane_bits, count=2 * updates),
        LogicActivity(name="neuron_compare", op="compare", bits=config.membrane_bits, count=updates),
        LogicActivity(name="neuron_membrane", op="register", bits=config.membrane_bits, count=updates),
    ]
    # A layer with a codebook looks up one entry per lane and window, through as many levels as an index has bits.
    decoded = [counters for counters in layers if counters.get("dram.codebook_read_bytes", 0)]
    if decoded:
        lookups, levels = (config.lanes * sum(counters[name] for counters in decoded)
                           for name in ("array.active_windows", "weight_buffer.slice_reads"))
        logic += [LogicActivity(name="codebook_entry", op="register", bits=GROUP_TAPS, count=lookups),
                  LogicActivity(name="codebook_select", op="mux", bits=GROUP_TAPS, count=levels)]
    return memories, logic
