"""DDR3: its constraint rows, and the presets of the project's first memory.

# Ref: JEDEC JESD79-3F (DDR3 SDRAM). The rows below are its command-to-command rules without self-refresh, power-down,
# ZQ calibration and on-die termination.
"""

from s2nn.hw.sim.dram.standard import Command, Currents, DramStandard, Level, Organisation, Timing, TimingConstraint

ACT, PRE, PREA, RD, RDA, WR, WRA, REF = Command
BANK, RANK = Level


def constraints(t: Timing) -> tuple[TimingConstraint, ...]:
    """The rows of DDR3 for the parameters `t`; latencies in cycles."""
    read_to_write = t.n_cl + t.n_bl + 2 - t.n_cwl  # the bus turns round: two cycles between the data bursts
    write_to_read = t.n_cwl + t.n_bl + t.n_wtr  # tWTR counts from the last written beat
    write_to_pre = t.n_cwl + t.n_bl + t.n_wr  # tWR likewise

    def row(rule: str, level: Level, preceding: tuple, following: tuple, latency: int, window: int = 1):
        return TimingConstraint(
            rule=rule, level=level, preceding=preceding, following=following, latency=latency, window=window
        )

    return (
        # Between commands to one bank.
        row("tRCD", BANK, (ACT,), (RD, RDA, WR, WRA), t.n_rcd),
        row("tRAS", BANK, (ACT,), (PRE,), t.n_ras),
        row("tRC", BANK, (ACT,), (ACT,), t.n_rc),
        row("tRP", BANK, (PRE,), (ACT,), t.n_rp),
        row("tRTP", BANK, (RD,), (PRE,), t.n_rtp),
        row("tWR", BANK, (WR,), (PRE,), write_to_pre),
        row("tRTP+tRP", BANK, (RDA,), (ACT,), t.n_rtp + t.n_rp),
        row("tWR+tRP", BANK, (WRA,), (ACT,), write_to_pre + t.n_rp),
        # Between any two commands to the rank.
        row("tRRD", RANK, (ACT,), (ACT,), t.n_rrd),
        row("tFAW", RANK, (ACT,), (ACT,), t.n_faw, window=4),
        row("tCCD read", RANK, (RD, RDA), (RD, RDA), t.n_ccd),
        row("tCCD write", RANK, (WR, WRA), (WR, WRA), t.n_ccd),
        row("read to write", RANK, (RD, RDA), (WR, WRA), read_to_write),
        row("tWTR", RANK, (WR, WRA), (RD, RDA), write_to_read),
        # Precharge all waits for every bank.
        row("tRAS all", RANK, (ACT,), (PREA,), t.n_ras),
        row("tRTP all", RANK, (RD, RDA), (PREA,), t.n_rtp),
        row("tWR all", RANK, (WR, WRA), (PREA,), write_to_pre),
        row("tRP all", RANK, (PREA,), (ACT,), t.n_rp),
        # Refresh: every bank precharged, then tRFC of silence.
        row("tRC refresh", RANK, (ACT,), (REF,), t.n_rc),
        row("tRP refresh", RANK, (PRE, PREA), (REF,), t.n_rp),
        row("tRTP+tRP refresh", RANK, (RDA,), (REF,), t.n_rtp + t.n_rp),
        row("tWR+tRP refresh", RANK, (WRA,), (REF,), write_to_pre + t.n_rp),
        row("tRFC", RANK, (REF,), (ACT, PREA, REF), t.n_rfc),
    )


# Ref: JEDEC JESD79-3F, speed bin DDR3-1600K (11-11-11), 4 Gb, x16 (2 KB page): tRRD 7.5 ns, tFAW 40 ns, tRFC 260 ns,
# tREFI 7.8 us; the same cycles stand in CMU-SAFARI/ramulator2, python/ramulator/dram/ddr3.py.
DDR3_1600K_4GB_X16_TIMING = Timing(
    t_ck_ps=1250,
    n_bl=4,
    n_cl=11,
    n_cwl=8,
    n_rcd=11,
    n_rp=11,
    n_ras=28,
    n_rc=39,
    n_rrd=6,
    n_faw=32,
    n_ccd=4,
    n_wtr=6,
    n_wr=12,
    n_rtp=6,
    n_rfc=208,
    n_refi=6240,
)

# MT41K256M16 class: 256 Mi x 16 bit, 1.35 V.
# Ref: currents of umd-memsys/DRAMsim3, configs/DDR3_4Gb_x16_1600.ini; its tRRD of 5 is not used (JEDEC: 6).
DDR3L_1600_4GB_X16 = DramStandard(
    name="ddr3l-1600-4gb-x16",
    organisation=Organisation(num_banks=8, num_rows=1 << 15, num_columns=1 << 10, device_width_bits=16, burst_length=8),
    timing=DDR3_1600K_4GB_X16_TIMING,
    constraints=constraints(DDR3_1600K_4GB_X16_TIMING),
    currents=Currents(vdd_mv=1350, idd0_ma=66, idd2n_ma=32, idd3n_ma=47, idd4r_ma=235, idd4w_ma=171, idd5b_ma=235),
)
