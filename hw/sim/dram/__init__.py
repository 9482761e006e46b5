"""A command-level DRAM model: a table per standard, a device that enforces it, a controller that obeys it."""

from s2nn.hw.sim.dram.controller import DramModel
from s2nn.hw.sim.dram.presets import DEFAULT_PRESET, PRESETS, preset
from s2nn.hw.sim.dram.standard import Command, DramStandard
from s2nn.hw.sim.dram.stats import CommandRecord, DramStats, write_trace

__all__ = [
    "DEFAULT_PRESET",
    "PRESETS",
    "Command",
    "CommandRecord",
    "DramModel",
    "DramStandard",
    "DramStats",
    "preset",
    "write_trace",
]
