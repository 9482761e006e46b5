"""All proofs: which law, of which component, in which configuration, how and how far."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from amaranth.lib import fifo

from s2nn.hw.formal import arithmetic, axi, queues, sequencing, streams, weights
from s2nn.hw.formal.harness import Property
from s2nn.hw.rtl.burst_splitter import BurstSplitter
from s2nn.hw.rtl.decode_then_popcount import DecodeThenPopcount
from s2nn.hw.rtl.dma_read import ReadDma
from s2nn.hw.rtl.fetcher import Fetcher
from s2nn.hw.rtl.gather import GatherSet
from s2nn.hw.rtl.loop_nest import LoopNest
from s2nn.hw.rtl.neuron import NeuronArray
from s2nn.hw.rtl.pool import PoolUnit
from s2nn.hw.rtl.popcount_then_select import PopcountThenSelect
from s2nn.hw.rtl.residual import ResidualUnit
from s2nn.hw.rtl.skid_buffer import SkidBuffer
from s2nn.hw.rtl.window import WindowReader
from s2nn.hw.spec.config import ASIC, TINY

#: "prove": by k-induction, for all time. "bmc": for every run of `depth` cycles from reset.
Mode = Literal["prove", "bmc"]
#: TINY with the narrowest arithmetic and the smallest memories that a configuration may have.
SMALLEST = replace(TINY, name="smallest", index_bits=2, weight_rows=4, spike_words=4, accumulator_bits=8,
                   membrane_bits=9, fraction_bits=0, leak_bits=1)


@dataclass(frozen=True, kw_only=True)
class Proof:
    """One law to prove.

    Parameters
    ----------
    name : component and law.
    law : what holds, in a sentence.
    build : makes the property.
    config : what it is proved for, in words.
    mode, depth : see `Mode`; of an induction, depth is k.
    fast : belongs to the subset that takes seconds.
    """

    name: str
    law: str
    build: Callable[[], Property]
    config: str
    mode: Mode = "prove"
    depth: int
    fast: bool = True


def _streams() -> list[Proof]:
    law = "what waits on {} stays as it is"

    def proof(name: str, component: Callable, config: str, *outputs: str, mode: Mode = "prove", depth: int = 2,
              fast: bool = True, **options) -> Proof:
        return Proof(name=f"{name}.stream", law=law.format(", ".join(outputs)), config=config, mode=mode, depth=depth,
                     fast=fast, build=lambda: streams.StreamContract(component, outputs=outputs, **options))

    s = SMALLEST
    return [
        proof("skid_buffer", lambda: SkidBuffer(8), "8 bits", "o"),
        proof("burst_splitter", lambda: BurstSplitter(s, length_bits=16), "32-bit bus, 16-bit lengths", "o"),
        proof("read_dma", lambda: ReadDma(s), "32-bit bus, 8 bursts", "o_data", withdrawn="i_discard"),
        proof("fetcher.routes", lambda: Fetcher(s), "smallest", "o_params", "o_codebook", "o_input", "o_weights",
              inputs=["i_data"]),
        proof("loop_nest", lambda: LoopNest(s), "smallest", "o", settled=["i_descriptor"], depth=4,
              addition=streams.begins_once),
        proof("gather", lambda: GatherSet(s), "smallest", "o", "o_residual"),
        proof("window", lambda: WindowReader(s), "smallest", "o", "o_residual", settled=["i_descriptor"]),
        proof("pool", lambda: PoolUnit(s), "smallest", "o", inputs=["i"], settled=["i_pool", "i_sum", "i_chunks"],
              addition=streams.pool_begins_empty),
        proof("residual", lambda: ResidualUnit(s), "smallest", "o", inputs=["i", "i_residual_words"],
              settled=["i_residual", "i_residual_planes", "i_planes"], addition=streams.residual_layer_comes_first),
        proof("neuron", lambda: NeuronArray(s), "smallest", "o", settled=["i_descriptor"]),
        proof("neuron.currents", lambda: NeuronArray(replace(s, current_bits=4)), "smallest, currents of 4 bits", "o",
              settled=["i_descriptor"], addition=streams.begins_once),
        proof("neuron.logits", lambda: NeuronArray(s), "smallest", "o_logits", mode="bmc", depth=16,
              settled=["i_descriptor"]),
        Proof(name="fetcher.requests.stream", law="a request waits unchanged; it asks for nothing that has no place",
              config="256-bit bus, 32 lanes", mode="bmc", depth=20,
              build=lambda: streams.RequestsWait(replace(s, axi_data_bits=256, lanes=32))),
        Proof(name="registers.stream", law="what waits on B and R stays as it is", config="32-bit AXI4-Lite", depth=2,
              build=lambda: streams.RegisterResponses(s)),
        Proof(name="scanner.stream", law="an operation waits unchanged while the array stands", config="smallest",
              depth=2, build=lambda: streams.ScannerHolds(s)),
        Proof(name="pe_array.stream", law="finished sums wait unchanged", config="smallest", depth=2,
              build=lambda: streams.SumsHold(s)),
    ]


def _queues() -> list[Proof]:
    law = "what goes in comes out, once, in order, unchanged"
    return [
        Proof(name="skid_buffer.order", law=law, config="8 bits", depth=2,
              build=lambda: queues.SkidBufferQueue(width=8)),
        *(Proof(name=f"{name}.order", law=law, config=f"{width} bits, depth {depth}", depth=2,
                build=lambda queue=queue, width=width, depth=depth: queues.LibraryQueue(queue, width=width,
                                                                                       depth=depth))
          for name, queue, width, depth in (("read_dma.owners", fifo.SyncFIFO, 4, 8),
                                            ("fetcher.places", fifo.SyncFIFO, 8, 2),
                                            ("params.queue", fifo.SyncFIFOBuffered, 8, 4),
                                            ("window.residual", fifo.SyncFIFO, 8, 16))),
        Proof(name="spike_writer.order", law="each word that is taken is written once, in order", config="smallest",
              mode="bmc", depth=12, build=lambda: queues.WordsThroughWriter(SMALLEST)),
    ]


def _axi() -> list[Proof]:
    wide = replace(ASIC, axi_data_bits=256)
    return [
        *(Proof(name=f"burst_splitter.{config.axi_data_bits}-bit", depth=2, config="16-bit lengths",
                law="bursts cover the request without gap, never cross 4 KiB, have 1..256 beats, as long as possible",
                build=lambda config=config: axi.SplitCoversRequest(config, length_bits=16))
          for config in (SMALLEST, wide)),
        *(Proof(name=f"read_dma.{config.axi_data_bits}-bit.{bursts}-bursts.axi", depth=2, config="16-bit lengths",
                law="AR is legal and waits unchanged; each beat has an owner; bursts outstanding are bounded",
                build=lambda config=config, bursts=bursts: axi.ReadMaster(config, max_outstanding=bursts))
          for config, bursts in ((SMALLEST, 2), (SMALLEST, 8), (wide, 8))),
        Proof(name="read_dma.beats", law="each beat returns with its request's stream, the last one marked", mode="bmc",
              config="2 bursts, up to 3 beats", depth=10, fast=False,
              build=lambda: axi.BeatsReturn(SMALLEST, max_outstanding=2, longest=3)),
        *(Proof(name=f"write_dma.{config.axi_data_bits}-bit.axi", depth=2, config="16-bit lengths",
                law="AW and W are legal and wait unchanged; WLAST marks the last beat; no orphan response is taken",
                build=lambda config=config: axi.WriteMaster(config)) for config in (SMALLEST, wide)),
    ]


def _weights() -> list[Proof]:
    buffer = replace(SMALLEST, index_bits=6, weight_rows=2)
    return [
        *(Proof(name=f"weight_buffer.{bits}-bit", law="a bit of a symbol comes back from where the packer put it",
                config="4 lanes, 8 slices a beat, 2 x 2 rows", mode="bmc", depth=12, fast=False,
                build=lambda bits=bits: weights.SymbolsReadBack(buffer, symbol_bits=bits))
          for bits in (2, 3, 4, 5, 6, 9)),
        Proof(name="decoder.codewords", law="a loaded codeword is found by its index; raw groups pass", mode="bmc",
              config="lane 0, 4 codewords", depth=14, build=lambda: weights.CodewordsReadBack(SMALLEST, lane=0)),
    ]


def _arithmetic() -> list[Proof]:
    variants = (("decode_then_popcount", DecodeThenPopcount), ("popcount_then_select", PopcountThenSelect))
    return [
        *(Proof(name=f"{name}.counts", law="counts are those of the window and the lane's codeword or raw group",
                config="lane 0, 2 time lanes, 4 codewords", depth=8,
                build=lambda variant=variant: arithmetic.LaneCounts(SMALLEST, variant=variant, lane=0))
          for name, variant in variants),
        *(Proof(name=f"{name}.stands", law="while the array stands, the counts stand", config="smallest", depth=2,
                build=lambda variant=variant: arithmetic.CountsStand(SMALLEST, variant=variant))
          for name, variant in variants),
        Proof(name="pe_array.dot", law="counts add up to the dot product of weights +1, -1, 0 and spikes", depth=1,
              config="9 taps", build=arithmetic.DotProduct),
        Proof(name="pe_array.accumulation", depth=2, config="smallest",
              law="counts are scaled; sums start over, double and add up as their tags say",
              build=lambda: arithmetic.Accumulation(SMALLEST)),
    ]


def _sequencing() -> list[Proof]:
    return [
        Proof(name="sequencer.run_ends", law="a run ends, if what it waits for comes within 2 cycles each time",
              config="2 layers, patience 2", mode="bmc", depth=40,
              build=lambda: sequencing.RunEnds(SMALLEST, patience=2, layers=2)),
        Proof(name="sequencer.error_ends", law="after an error the run ends when both DMAs are idle", config="smallest",
              depth=4, build=lambda: sequencing.ErrorEndsRun(SMALLEST)),
        Proof(name="counters.cycles", law="each cycle of a run has one cause, and the causes add up to the total",
              depth=4, config="32-bit counters", build=lambda: sequencing.CyclesAddUp(SMALLEST)),
    ]


PROOFS: tuple[Proof, ...] = (*_streams(), *_queues(), *_axi(), *_weights(), *_arithmetic(), *_sequencing())
