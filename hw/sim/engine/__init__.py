"""The cycle engine: a program's cycles on real spikes, exact and compiled (docs/architecture.md says how exact)."""

from s2nn.hw.sim.engine.run import EngineRun, EngineSession
from s2nn.hw.sim.engine.trace import chrome_trace

__all__ = ["EngineRun", "EngineSession", "chrome_trace"]
