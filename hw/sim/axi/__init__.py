"""The AXI4 memory of every simulation: C++ (`core/`) with the DRAM model behind the bus, for bench and engine alike."""

from s2nn.hw.sim.axi.memory import BusMemory, Fault, Response
from s2nn.hw.sim.axi.stalls import CHANNELS, AxiStalls

__all__ = ["CHANNELS", "AxiStalls", "BusMemory", "Fault", "Response"]
