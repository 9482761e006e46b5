"""Energy = counters x a sourced table: a pure function, so an old run can be priced with a new table.

DRAM by the IDD method: each command costs what it draws above standby, and standby is paid by the cycle and state.

    ACT+PRE  VDD (IDD0 tRC - IDD3N tRAS - IDD2N tRP)        at the ACT
    RD       VDD (IDD4R - IDD3N) tBL        WR  VDD (IDD4W - IDD3N) tBL
    REF      VDD (IDD5B - IDD3N) tRFC
    standby  VDD IDD3N t with a row open or while refreshing, VDD IDD2N t with all banks precharged

V x mA x ns = pJ; everything times the devices of the rank. Core energy only: no on-die termination, no interface.
Ref: Micron TN-41-01 (DDR3 power calculation) gives the method; the currents stand in the preset.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from s2nn.hw.sim.dram.presets import preset
from s2nn.hw.sim.dram.standard import DramStandard
from s2nn.hw.sim.dram.stats import DramStats
from s2nn.hw.sim.energy_table import EnergyTable, load_table
from s2nn.hw.spec.errors import ConfigError


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
    timing, currents = standard.timing, standard.currents
    pj_per_ma_cycle = _pj_per_ma_cycle(standard)
    act_pre = currents.idd0_ma * timing.n_rc - currents.idd3n_ma * timing.n_ras - currents.idd2n_ma * timing.n_rp
    return {
        "ACT": act_pre * pj_per_ma_cycle,
        "RD": (currents.idd4r_ma - currents.idd3n_ma) * timing.n_bl * pj_per_ma_cycle,
        "WR": (currents.idd4w_ma - currents.idd3n_ma) * timing.n_bl * pj_per_ma_cycle,
        "REF": (currents.idd5b_ma - currents.idd3n_ma) * timing.n_rfc * pj_per_ma_cycle,
    }


def dram_energy(stats: DramStats, table: EnergyTable, standard: DramStandard | None = None) -> dict[str, float]:
    """Energy of a run of the memory, pJ.

    Keys: act_pre_pj, rd_pj, wr_pj and their sum dynamic_pj (the traffic); refresh_pj; the standby energies
    active_standby_pj (refreshing included), precharge_standby_pj and their sum background_pj; total_pj. A table of the
    `per_bit` kind prices transferred bits only. `standard` defaults to the preset named in `stats`.
    """
    if table.dram_transfer is not None:
        rd = table.dram_transfer.energy_pj(8 * stats.read_bytes)
        wr = table.dram_transfer.energy_pj(8 * stats.write_bytes)
        return _dram_breakdown(act_pre=0.0, rd=rd, wr=wr, refresh=0.0, active=0.0, precharge=0.0)
    standard = standard or preset(stats.preset)
    command_pj, pj_per_ma_cycle = command_energy_pj(standard), _pj_per_ma_cycle(standard)
    return _dram_breakdown(
        act_pre=stats.num_act * command_pj["ACT"],
        rd=stats.num_rd * command_pj["RD"],
        wr=stats.num_wr * command_pj["WR"],
        refresh=stats.num_ref * command_pj["REF"],
        active=(stats.active_standby_cycles + stats.refresh_cycles) * standard.currents.idd3n_ma * pj_per_ma_cycle,
        precharge=stats.precharge_standby_cycles * standard.currents.idd2n_ma * pj_per_ma_cycle,
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


def _pj_per_ma_cycle(standard: DramStandard) -> float:
    """pJ that 1 mA draws from VDD in one clock cycle, in all devices of the rank."""
    return standard.currents.vdd_mv * standard.timing.t_ck_ps * standard.organisation.devices / 1e6


def _dram_breakdown(
    *, act_pre: float, rd: float, wr: float, refresh: float, active: float, precharge: float
) -> dict[str, float]:
    dynamic, background = act_pre + rd + wr, active + precharge
    return {
        "act_pre_pj": act_pre,
        "rd_pj": rd,
        "wr_pj": wr,
        "dynamic_pj": dynamic,
        "refresh_pj": refresh,
        "active_standby_pj": active,
        "precharge_standby_pj": precharge,
        "background_pj": background,
        "total_pj": dynamic + refresh + background,
    }
