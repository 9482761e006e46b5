"""The clock edges of the bench's host, so that the engine meets the DRAM in the same phase: hw/tb/host.py.

An access begins and ends after a rising edge; the reset's first edge is the memory's time 0.
"""

from s2nn.hw.spec.registers import COUNTERS

#: `Host.reset`: edges in reset, and the first one behind it.
RESET_EDGES, RELEASE_EDGES = 4, 1
#: `Host.write` and `Host.read` of a register: see `RegisterFile`.
WRITE_EDGES, READ_EDGES = 3, 4
#: From the reset to the first run: the five addresses.
SETUP_EDGES = 5 * WRITE_EDGES
#: Before each run, at which the bench reads the DRAM's books: an edge for the input.
INPUT_EDGES = 1
#: From there to the cycle in which the sequencer starts: a write of the control register.
START_EDGES = WRITE_EDGES
#: From the sequencer's DONE to where the bench reads the DRAM's books: interrupt, its acknowledgement, the error code.
FINISH_EDGES = 1 + WRITE_EDGES + READ_EDGES
#: From there to the next run: the layer and all counters.
COLLECT_EDGES = (1 + len(COUNTERS)) * READ_EDGES
