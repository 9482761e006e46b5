"""Energy = counters x a sourced table: a pure function, so an old run can be priced with a new table.

DRAM by the IDD method: each command costs what it draws above standby, and standby is paid by the cycle and state.

    ACT+PRE  V (IDD0 tRC - IDD3N tRAS - IDD2N tRP)        at the ACT
    RD       V (IDD4R - IDD3N) tBL        WR  V (IDD4W - IDD3N) tBL
    REF      V (IDD5B - IDD3N) tRFC
    standby  V IDD3N t with a row open or while refreshing, V IDD2N t with all banks precharged,
             V IDD3P t and V IDD2P t in power-down, V IDD6 t in self-refresh

V x mA x ns = pJ, summed over the supply rails, times the devices of the rank. That is the core. The data pins (drivers
and termination) are a line of their own, pJ per transferred bit, and counted on request only.
Ref: Micron TN-41-01 (DDR3 power calculation) gives the method; the currents stand in the preset.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from s2nn.hw.sim.dram.presets import preset
from s2nn.hw.sim.dram.standard import DramStandard, Rail
from s2nn.hw.sim.dram.stats import DramStats
from s2nn.hw.sim.energy_table import EnergyTable, load_table
from s2nn.hw.spec.errors import ConfigError

_BACKGROUND = ("active_standby", "precharge_standby", "active_power_down", "precharge_power_down", "self_refresh")


@dataclass(frozen=True, kw_only=True)
class SramActivity:
    """Accesses to one on-chip memory: `reads` and `writes` of whole words of `word_bits`, `capacity_bytes` large.

    Several equal banks that are read together are one activity per bank size: give the size of one bank and count each
    bank's accesses.
    """

    name: str
    capacity_bytes: int
    word_bits: int
    reads: int
    writes: int = 0

    def __post_init__(self):
        for field, least in (("capacity_bytes", 1), ("word_bits", 1), ("reads", 0), ("writes", 0)):
            if getattr(self, field) < least:
                raise ConfigError(f"must be at least {least}", value=getattr(self, field), field=f"{self.name}.{field}")


@dataclass(frozen=True, kw_only=True)
class LogicActivity:
    """`count` operations `op` (a name of the table: add, register, compare, ...) on `bits` bits each."""

    name: str
    op: str
    bits: int
    count: int

    def __post_init__(self):
        for field, least in (("bits", 1), ("count", 0)):
            if getattr(self, field) < least:
                raise ConfigError(f"must be at least {least}", value=getattr(self, field), field=f"{self.name}.{field}")


def command_energy_pj(standard: DramStandard) -> dict[str, float]:
    """Energy of one command above standby, pJ, by the IDD method; the PRE is paid with its ACT."""
    timing = standard.timing

    def act_pre(rail: Rail) -> float:
        return rail.idd0_ma * timing.n_rc - rail.idd3n_ma * timing.n_ras - rail.idd2n_ma * timing.n_rp

    return {
        "ACT": _energy_pj(standard, act_pre),
        "RD": _energy_pj(standard, lambda rail: (rail.idd4r_ma - rail.idd3n_ma) * timing.n_bl),
        "WR": _energy_pj(standard, lambda rail: (rail.idd4w_ma - rail.idd3n_ma) * timing.n_bl),
        "REF": _energy_pj(standard, lambda rail: (rail.idd5b_ma - rail.idd3n_ma) * timing.n_rfc),
    }


def standby_energy_pj(standard: DramStandard) -> dict[str, float]:
    """Energy of one cycle in each background state, pJ: the residencies of DramStats without `_cycles`."""
    return {
        "active_standby": _energy_pj(standard, lambda rail: rail.idd3n_ma),
        "precharge_standby": _energy_pj(standard, lambda rail: rail.idd2n_ma),
        "active_power_down": _energy_pj(standard, lambda rail: rail.idd3p_ma),
        "precharge_power_down": _energy_pj(standard, lambda rail: rail.idd2p_ma),
        "self_refresh": _energy_pj(standard, lambda rail: rail.idd6_ma),
    }


def dram_energy(
    stats: DramStats, table: EnergyTable, standard: DramStandard | None = None, *, with_interface: bool = False
) -> dict[str, float]:
    """Energy of a run of the memory, pJ.

    Keys: act_pre_pj, rd_pj, wr_pj, interface_pj (0 unless `with_interface`) and their sum dynamic_pj (the traffic);
    refresh_pj; active_standby_pj (refreshing included), precharge_standby_pj, active_power_down_pj,
    precharge_power_down_pj, self_refresh_pj and their sum background_pj; total_pj. A table of the `per_bit` kind prices
    transferred bits only. `standard` defaults to the preset named in `stats`.
    """
    if table.dram_transfer is not None:
        rd = table.dram_transfer.energy_pj(8 * stats.read_bytes)
        wr = table.dram_transfer.energy_pj(8 * stats.write_bytes)
        return _dram_breakdown({"rd": rd, "wr": wr}, refresh_pj=0.0, background_pj={})
    standard = standard or preset(stats.preset)
    command_pj = command_energy_pj(standard)
    dynamic_pj = {
        "act_pre": stats.num_act * command_pj["ACT"],
        "rd": stats.num_rd * command_pj["RD"],
        "wr": stats.num_wr * command_pj["WR"],
    }
    if with_interface:
        dynamic_pj["interface"] = _interface_pj(stats, standard)
    cycles = {state: getattr(stats, f"{state}_cycles") for state in _BACKGROUND}
    cycles["active_standby"] += stats.refresh_cycles
    standby_pj = standby_energy_pj(standard)
    return _dram_breakdown(
        dynamic_pj,
        refresh_pj=stats.num_ref * command_pj["REF"],
        background_pj={state: cycles[state] * standby_pj[state] for state in _BACKGROUND},
    )


def energy(
    *,
    dram: DramStats,
    sram: Sequence[SramActivity] = (),
    logic: Sequence[LogicActivity] = (),
    table: EnergyTable | None = None,
    standard: DramStandard | None = None,
) -> dict[str, Any]:
    """Price one run with `table` (the datasheet table by default); every number in pJ.

    Returns {"table", "dram": see `dram_energy`, "on_chip_pj": {activity name: pJ}, "on_chip_total_pj",
    "dynamic_total_pj": traffic + on chip, "total_pj": with refresh and background}. Names must be unique.
    """
    table = table or load_table()
    on_chip_pj: dict[str, float] = {}
    for activity in (*sram, *logic):
        if activity.name in on_chip_pj:
            raise ConfigError("the names of activities must be unique", value=activity.name)
        on_chip_pj[activity.name] = _activity_pj(activity, table)
    dram_pj = dram_energy(dram, table, standard)
    on_chip_total_pj = sum(on_chip_pj.values())
    return {
        "table": table.name,
        "dram": dram_pj,
        "on_chip_pj": on_chip_pj,
        "on_chip_total_pj": on_chip_total_pj,
        "dynamic_total_pj": dram_pj["dynamic_pj"] + on_chip_total_pj,
        "total_pj": dram_pj["total_pj"] + on_chip_total_pj,
    }


def _activity_pj(activity: SramActivity | LogicActivity, table: EnergyTable) -> float:
    if isinstance(activity, LogicActivity):
        return activity.count * table.logic_pj(activity.op, activity.bits)
    read_pj = table.sram_read_pj(activity.capacity_bytes, activity.word_bits)
    write_pj = table.sram_write_pj(activity.capacity_bytes, activity.word_bits)
    return activity.reads * read_pj + activity.writes * write_pj


def _energy_pj(standard: DramStandard, ma_cycles: Callable[[Rail], float]) -> float:
    """pJ in all devices of the rank, from mA x clock cycles of each rail."""
    volt_ma_cycles = sum(rail.voltage_mv * ma_cycles(rail) for rail in standard.rails)
    return volt_ma_cycles * standard.timing.t_ck_ps * standard.organisation.devices / 1e6


def _interface_pj(stats: DramStats, standard: DramStandard) -> float:
    if standard.interface is None:
        raise ConfigError("must be given to price the data pins", field="interface", source=standard.name)
    pins = standard.interface
    return 8 * (stats.read_bytes * pins.read_pj_per_bit + stats.write_bytes * pins.write_pj_per_bit)


def _dram_breakdown(
    dynamic_pj: dict[str, float], *, refresh_pj: float, background_pj: dict[str, float]
) -> dict[str, float]:
    dynamic, background = sum(dynamic_pj.values()), sum(background_pj.values())
    return {
        **{f"{name}_pj": dynamic_pj.get(name, 0.0) for name in ("act_pre", "rd", "wr", "interface")},
        "dynamic_pj": dynamic,
        "refresh_pj": refresh_pj,
        **{f"{state}_pj": background_pj.get(state, 0.0) for state in _BACKGROUND},
        "background_pj": background,
        "total_pj": dynamic + refresh_pj + background,
    }
