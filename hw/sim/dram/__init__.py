"""A command-level DRAM model: a table per standard, a device that enforces it, a controller that obeys it."""

from s2nn.hw.sim.dram.config import ControllerConfig, PagePolicy
from s2nn.hw.sim.dram.model import DramModel, EngineName
from s2nn.hw.sim.dram.presets import DEFAULT_PRESET, PRESET_NAMES, load_standard, preset
from s2nn.hw.sim.dram.standard import Command, DramStandard
from s2nn.hw.sim.dram.stats import BankStats, CommandRecord, DramStats, write_trace

__all__ = [
    "DEFAULT_PRESET",
    "PRESET_NAMES",
    "BankStats",
    "Command",
    "CommandRecord",
    "ControllerConfig",
    "DramModel",
    "DramStandard",
    "DramStats",
    "EngineName",
    "PagePolicy",
    "load_standard",
    "preset",
    "write_trace",
]
