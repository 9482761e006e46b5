"""The memories that can be asked for by name."""

from s2nn.hw.sim.dram.ddr3 import DDR3L_1600_4GB_X16
from s2nn.hw.sim.dram.standard import DramStandard
from s2nn.hw.spec.errors import ConfigError

PRESETS: dict[str, DramStandard] = {standard.name: standard for standard in (DDR3L_1600_4GB_X16,)}
DEFAULT_PRESET = DDR3L_1600_4GB_X16.name


def preset(name: str) -> DramStandard:
    """The standard called `name`; raises ConfigError for an unknown one."""
    if name not in PRESETS:
        raise ConfigError(f"a DRAM preset must be one of {', '.join(sorted(PRESETS))}", value=name)
    return PRESETS[name]
