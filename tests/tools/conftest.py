"""A stand-in for the RTL, made of the golden model and its expected counters, and small nets to run on it."""

from dataclasses import dataclass

import numpy as np
import pytest

from s2nn.hw.sim.activity import READ_STREAMS, Addresses
from s2nn.hw.sim.dram import DEFAULT_PRESET
from s2nn.hw.sim.dram.stats import DramStats
from s2nn.hw.sim.random_program import RandomConv, random_images, random_program
from s2nn.hw.spec.config import TINY
from s2nn.hw.spec.registers import Cause
from s2nn.tools.lowering import LoweredNet, Workload
from s2nn.tools.simulation import SimulatedImage, run_golden


@dataclass
class StandIn:
    """Counts as the RTL must count; `spoil` may change the result of an image, to see what a check makes of it."""

    spoil: object = None
    origin = "measured (RTL)"

    def addresses(self, config, image):
        return Addresses(image=0, input=0x10000, output=0x20000, scratch=0x30000)

    def run(self, config, program, image, images, *, run_dir, tell):
        golden = run_golden(config, program, image, images, addresses=self.addresses(config, image))
        runs = [self._image(golden, number) for number in range(len(images))]
        return runs if self.spoil is None else [self.spoil(run) for run in runs]

    def _image(self, golden, number):
        counters = dict(golden.activities[number].total)
        cycles = {f"cycles.{cause.name.lower()}": 100 + 10 * cause.value for cause in Cause}
        cycles["cycles.compute"] = counters["array.active_windows"]
        cycles["cycles.silent"] = counters["array.silent_blocks"]
        counters = {"cycles.total": sum(cycles.values())} | cycles | counters
        names = {stream: f"dram.{stream}_read" for stream in READ_STREAMS} | {
            "logits": "dram.logits_write", "map_write": "dram.map_write"}
        moved = {unit: {stream: counters[f"{name}_{unit}"] for stream, name in names.items()} | {"other": 0}
                 for unit in ("bytes", "bursts")}
        read = sum(moved["bytes"].values()) - moved["bytes"]["logits"]
        dram = DramStats(preset=DEFAULT_PRESET, t_ck_ps=1250, n_bl=4, cycles=10_000, num_act=20, num_pre=18, num_prea=2,
                         num_rd=read // 16, num_wr=1, num_ref=2, row_hits=read // 16 - 20, row_misses=18,
                         row_conflicts=3, read_bytes=read, write_bytes=16, read_latency_min_cycles=20,
                         read_latency_max_cycles=90, read_latency_sum_cycles=read, active_standby_cycles=7_000,
                         precharge_standby_cycles=2_800, refresh_cycles=200, last_column_command_cycle=9_000,
                         finish_cycle=9_100)
        return SimulatedImage(logits=golden.result.logits[number], stray_spikes=0,
                              spikes=tuple(layer.stored[number] for layer in golden.result.layers), counters=counters,
                              bus_bytes=moved["bytes"], bus_bursts=moved["bursts"], dram=dram)


@pytest.fixture(scope="session")
def stand_in():
    return StandIn


def random_net(label: str) -> LoweredNet:
    config = TINY.as_binary() if label == "binary" else TINY
    eta = None if label == "binary" else 4
    layers = [RandomConv(channels=8, planes=2), RandomConv(channels=12, eta=eta, pool=True),
              RandomConv(channels=8, eta=eta)]
    program = random_program(3, config, in_shape=(1, 6, 6), layers=layers, classes=4, classifier_planes=2,
                             name=f"tiny-{label}")
    return LoweredNet(label=label, checkpoint=f"tiny-{label}", checkpoint_sha256="0" * 64, test_accuracy=0.97,
                      test_images=1000, split="stratified", dataset="random", config=config, program=program,
                      capped_channels=0)


@pytest.fixture(scope="session")
def pair():
    return [random_net("binary"), random_net("eta4")]


@pytest.fixture(scope="session")
def workload():
    return Workload(dataset="random", split="stratified", indices=(3, 5, 9), images=random_images(8, (1, 6, 6), 3),
                    labels=np.array([0, 1, 2]))

