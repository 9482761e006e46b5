"""The engine: from read data to spikes and logits. A program's state lives here, so one reset ends a run."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl import dma_read, dma_write
from s2nn.hw.rtl.compute import ComputePipeline
from s2nn.hw.rtl.fetcher import Fetcher
from s2nn.hw.rtl.input_loader import InputLoader
from s2nn.hw.rtl.layouts import DescriptorLayout, has_param_pairs
from s2nn.hw.rtl.loop_nest import LoopNest
from s2nn.hw.rtl.map_transfer import MapLoader, MapStorer
from s2nn.hw.rtl.neuron import NeuronArray
from s2nn.hw.rtl.params import ParamsLoader
from s2nn.hw.rtl.popcount import add_all, popcount
from s2nn.hw.rtl.scanner import ActivityScanner
from s2nn.hw.rtl.spike_buffer import SpikeBuffer
from s2nn.hw.rtl.spike_writer import SpikeWriter, probe_layout
from s2nn.hw.rtl.window import WindowReader
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig
from s2nn.hw.spec.descriptor import Opcode, Residual
from s2nn.hw.spec.registers import ErrorCode

#: Bits of a spike word that are counted in one cycle; a word that is narrower is padded with zeros.
_SPIKES_AT_ONCE = 16


def events_layout(config: AcceleratorConfig) -> data.StructLayout:
    """What happens in one cycle, for the counters."""
    return data.StructLayout({
        "issue_active": 1, "issue_silent": 1,  # the scanner issues an operation with (without) a spike
        "stall": 1,                            # sums wait for the neurons
        "active_time_lanes": range(config.time_lanes + 1),  # time lanes with a spike in this cycle's window
        "slice_writes": range(config.slices_per_beat + 1), "slice_reads": range(GROUP_TAPS + 1),
        "words_read": range(GROUP_TAPS + 1), "word_write": 1, "update": 1,
        "membrane_read": 1, "membrane_write": 1,
        "spikes": range(config.word_bits + 1),
    })


class Engine(wiring.Component):
    """All that computes; the sequencer starts its layers, the DMAs bring and take its data.

    Members
    -------
    i_start, i_image_address, i_descriptor_offset, i_input_address, i_output_address, i_scratch_address : a run begins.
        i_keep_weights : the resident weights are in the buffer.
    o_request, i_data : read DMA. o_writes : logits or words of a map for the write DMA, o_write_address and
        o_write_length : where they go, o_write_map : they are of a map; there two cycles after i_start_layer.
    o_descriptor, o_descriptor_valid : the layer to run next. i_take : it becomes the current one.
    i_start_input, i_start_layer : pulses in a cycle after i_take.
    o_input_busy : the image is being loaded. o_loop_busy, o_waiting : of the loop nest.
    o_pipeline_busy : windows, operations, sums or membranes are under way.
    o_events : see events_layout. o_error : ErrorCode, held. o_probe_valid, o_probe : words as they are written.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i_start": In(1), "i_keep_weights": In(1),
            "i_image_address": In(32), "i_descriptor_offset": In(32), "i_input_address": In(32),
            "i_output_address": In(32), "i_scratch_address": In(32),
            "o_request": Out(stream.Signature(dma_read.REQUEST)),
            "i_data": In(stream.Signature(dma_read.read_beat_layout(config))),
            "o_writes": Out(stream.Signature(dma_write.write_beat_layout(config))),
            "o_write_address": Out(32), "o_write_length": Out(dma_write.LENGTH_BITS), "o_write_map": Out(1),
            "o_descriptor": Out(DescriptorLayout), "o_descriptor_valid": Out(1),
            "i_take": In(1), "i_start_input": In(1), "i_start_layer": In(1),
            "o_input_busy": Out(1), "o_loop_busy": Out(1), "o_waiting": Out(1), "o_pipeline_busy": Out(1),
            "o_events": Out(events_layout(config)),
            "o_error": Out(ErrorCode),
            "o_probe_valid": Out(1), "o_probe": Out(probe_layout(config)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.fetcher = fetcher = Fetcher(config)
        m.submodules.input_loader = loader = InputLoader(config)
        m.submodules.map_loader = map_loader = MapLoader(config)
        m.submodules.map_storer = map_storer = MapStorer(config)
        m.submodules.params = params = ParamsLoader(config)
        m.submodules.loop_nest = loop_nest = LoopNest(config)
        m.submodules.window = window = WindowReader(config)
        m.submodules.spike_buffer = spike_buffer = SpikeBuffer(config)
        m.submodules.scanner = scanner = ActivityScanner(config)
        m.submodules.compute = compute = ComputePipeline(config)
        m.submodules.neuron = neuron = NeuronArray(config)
        m.submodules.writer = writer = SpikeWriter(config)

        layer = Signal(DescriptorLayout)  # the layer that runs
        with m.If(self.i_take):
            m.d.sync += layer.eq(fetcher.o_descriptor)

        # Fetcher to its destinations.
        wiring.connect(m, fetcher.o_input, loader.i)
        wiring.connect(m, fetcher.o_map, map_loader.i)
        wiring.connect(m, fetcher.o_params, params.i)
        wiring.connect(m, fetcher.o_weights, compute.weights.i)
        wiring.connect(m, fetcher.o_codebook, compute.array.i_codewords)
        wiring.connect(m, wiring.flipped(self.o_request), fetcher.o_request)
        wiring.connect(m, wiring.flipped(self.i_data), fetcher.i_data)
        m.d.comb += [
            fetcher.i_start.eq(self.i_start), fetcher.i_keep_weights.eq(self.i_keep_weights),
            fetcher.i_image_address.eq(self.i_image_address),
            fetcher.i_descriptor_offset.eq(self.i_descriptor_offset), fetcher.i_input_address.eq(self.i_input_address),
            fetcher.i_scratch_address.eq(self.i_scratch_address),
            self.o_descriptor.eq(fetcher.o_descriptor), self.o_descriptor_valid.eq(fetcher.o_descriptor_valid),
            fetcher.i_descriptor_take.eq(self.i_take), fetcher.i_params_take.eq(neuron.o_params_take),
            fetcher.i_release.eq(compute.o_release), fetcher.i_tile_take.eq(loop_nest.o_tile_take),
            loop_nest.i_tile_ready.eq(fetcher.o_tile_ready), params.i_shift.eq(fetcher.o_descriptor.param_shift),
            params.i_pairs.eq(has_param_pairs(fetcher.o_descriptor)),
            compute.weights.i_fill_next.eq(fetcher.o_weights_next),
            compute.weights.i_fill_row.eq(fetcher.o_weights_row),
            compute.weights.i_fill_rows.eq(fetcher.o_weights_rows),
            compute.array.i_load_start.eq(fetcher.o_codebook_next),
            compute.array.i_codebook_half.eq(fetcher.o_codebook_half),
            self.o_error.eq(fetcher.o_error),
        ]

        # Loop nest -> windows -> active channels -> array -> neurons.
        wiring.connect(m, loop_nest.o, window.i)
        wiring.connect(m, window.o, scanner.i)
        m.d.comb += [
            loop_nest.i_descriptor.eq(layer), loop_nest.i_start.eq(self.i_start_layer),
            window.i_descriptor.eq(layer), window.i_words.eq(spike_buffer.o_words),
            spike_buffer.i_read_enable.eq(window.o_read_enable), spike_buffer.i_read_address.eq(window.o_read_address),
            scanner.i_enable.eq(compute.o_enable), scanner.i_symbol_bits.eq(layer.symbol_bits),
            compute.i_valid.eq(scanner.o_valid), compute.i.eq(scanner.o), compute.i_codebook.eq(layer.codebook),
            compute.i_symbol_bits.eq(layer.symbol_bits),
            neuron.i_valid.eq(compute.o_valid), compute.i_ready_next.eq(neuron.o_ready_next), neuron.i.eq(compute.o),
            neuron.i_descriptor.eq(layer), neuron.i_start.eq(self.i_start_layer),
            neuron.i_params.eq(params.o), neuron.i_params_valid.eq(params.o_valid),
            params.i_take.eq(neuron.o_params_take),
        ]

        # Neurons (or the input, or a map) -> pool and address -> spike buffer.
        loads_map = layer.opcode == Opcode.LOAD_MAP
        m.d.comb += [
            loader.i_descriptor.eq(layer), loader.i_start.eq(self.i_start_input & ~loads_map),
            map_loader.i_descriptor.eq(layer), map_loader.i_start.eq(self.i_start_input & loads_map),
            writer.i_descriptor.eq(layer), writer.i_start.eq(self.i_start_input | self.i_start_layer),
            neuron.o.ready.eq(writer.i.ready),
            writer.i.valid.eq(neuron.o.valid | loader.o.valid | map_loader.o.valid),  # only one is ever at work
            writer.i.payload.eq(neuron.o.payload),
            spike_buffer.i_write_enable.eq(writer.o_write_enable),
            spike_buffer.i_write_address.eq(writer.o_write_address),
            spike_buffer.i_write_word.eq(writer.o_write_word),
            self.o_probe_valid.eq(writer.o_probe_valid), self.o_probe.eq(writer.o_probe),
        ]
        with m.If(loader.o_busy):
            m.d.comb += writer.i.payload.eq(loader.o.payload)
        with m.If(map_loader.o_busy):
            m.d.comb += writer.i.payload.eq(map_loader.o.payload)
        self._share_residual(m, layer, window.o_residual, writer.i_residual, neuron.i_currents, map_storer.i)
        self._write_back(m, layer, map_storer, neuron.o_logits)

        reads, words_read = Signal(GROUP_TAPS), Signal(range(GROUP_TAPS + 1))
        active_time_lanes = [scanner.o_valid & compute.o_enable & scanner.o.active
                             & Cat(scanner.o.window[tap][t] for tap in range(GROUP_TAPS)).any()
                             for t in range(config.time_lanes)]
        m.d.comb += [
            self.o_input_busy.eq(loader.o_busy | map_loader.o_busy), self.o_loop_busy.eq(loop_nest.o_busy),
            self.o_waiting.eq(loop_nest.o_waiting),
            self.o_pipeline_busy.eq(window.o_busy | scanner.o_busy | compute.o_busy | neuron.o_busy
                                    | writer.o_busy),
            self.o_events.issue_active.eq(scanner.o_issue & scanner.o_issue_active),
            self.o_events.issue_silent.eq(scanner.o_issue & ~scanner.o_issue_active),
            self.o_events.stall.eq(~compute.o_enable),
            self.o_events.active_time_lanes.eq(sum(active_time_lanes[1:], active_time_lanes[0])),
            self.o_events.slice_writes.eq(compute.weights.o_slice_writes),
            self.o_events.slice_reads.eq(compute.weights.o_slice_reads),
            self.o_events.words_read.eq(words_read), self.o_events.word_write.eq(writer.o_moves),
            self.o_events.update.eq(neuron.o_update),
            self.o_events.membrane_read.eq(neuron.o_membrane_read),
            self.o_events.membrane_write.eq(neuron.o_membrane_write),
        ]
        m.d.sync += [reads.eq(window.o_read_enable), words_read.eq(popcount(m, reads))]  # two cycles late
        # Spikes are counted two cycles late, part by part first: a popcount of a whole word takes more than a cycle.
        fired, word = Signal(2), Signal(config.word_bits, name="fired_word", reset_less=True)
        parts = [Signal(range(_SPIKES_AT_ONCE + 1), name=f"spikes{at}", reset_less=True)
                 for at in range(0, config.word_bits, _SPIKES_AT_ONCE)]
        m.d.sync += [fired.eq(Cat(neuron.o.valid & neuron.o.ready & ~neuron.o_is_kept, fired)),
                     word.eq(neuron.o.payload),
                     *(part.eq(popcount(m, word.word_select(k, _SPIKES_AT_ONCE))) for k, part in enumerate(parts))]
        m.d.comb += self.o_events.spikes.eq(Mux(fired[1], add_all(parts), 0))
        return m

    def _share_residual(self, m: Module, layer: data.View, words: stream.Interface, spikes: stream.Interface,
                        currents: stream.Interface, stored: stream.Interface) -> None:
        """Words of a residual map meet the spikes, or currents before there are any; those of a stored map leave."""
        stores, adds = Signal(), Signal()
        m.d.sync += stores.eq(layer.opcode == Opcode.STORE_MAP)
        if self._config.current_bits:
            m.d.sync += adds.eq(layer.residual == Residual.CURRENT)
        for target, here in ((spikes, ~stores & ~adds), (currents, adds), (stored, stores)):
            m.d.comb += [target.payload.eq(words.payload), target.valid.eq(words.valid & here)]
        m.d.comb += words.ready.eq(Mux(stores, stored.ready, Mux(adds, currents.ready, spikes.ready)))

    def _write_back(self, m: Module, layer: data.View, storer: MapStorer, logits: stream.Interface) -> None:
        """What leaves for DRAM: a map, whose words are read as a residual map's are, or the classifier's logits."""
        stores = Signal()
        m.d.sync += [
            stores.eq(layer.opcode == Opcode.STORE_MAP), self.o_write_map.eq(stores),
            self.o_write_address.eq(Mux(stores, self.i_scratch_address + layer.index_offset, self.i_output_address)),
            self.o_write_length.eq(Mux(stores, layer.tile_beats, self._config.logits_beats) - 1),
        ]
        m.d.comb += self.o_writes.payload.strb.eq(-1)
        with m.If(stores):
            wiring.connect(m, storer.o, wiring.flipped(self.o_writes))
        with m.Else():
            m.d.comb += [self.o_writes.valid.eq(logits.valid), logits.ready.eq(self.o_writes.ready),
                         self.o_writes.payload.data.eq(logits.payload)]

