"""The cycle engine: a program's cycles on real spikes, exact and compiled; docs/architecture.md says what is checked."""

from s2nn.hw.sim.engine.run import EngineRun, run

__all__ = ["EngineRun", "run"]
