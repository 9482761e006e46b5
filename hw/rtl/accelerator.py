"""The accelerator: an AXI4-Lite slave to the host, an AXI4 master to DRAM, and the engine between them."""

from amaranth import Module, ResetInserter
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from s2nn.hw.rtl import axi
from s2nn.hw.rtl.counters import PerformanceCounters
from s2nn.hw.rtl.dma_read import ReadDma
from s2nn.hw.rtl.dma_write import WriteDma
from s2nn.hw.rtl.engine import Engine
from s2nn.hw.rtl.registers import RegisterFile
from s2nn.hw.rtl.sequencer import Sequencer
from s2nn.hw.rtl.spike_writer import probe_layout
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.registers import ADDRESS_BITS


class Accelerator(wiring.Component):
    """The top. The host writes the addresses, starts, and waits for the interrupt; the rest is the engine's.

    Members
    -------
    m_axi_* : AXI4 master (reads and writes), s_axil_* : AXI4-Lite slave, irq : level.
    probe_* : spike words as they are written, with layer and place, for benches; nothing depends on them.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        self._read_bus = axi.Axi4ReadSignature(data_bits=config.axi_data_bits)
        self._write_bus = axi.Axi4WriteSignature(data_bits=config.axi_data_bits)
        self._host_bus = axi.Axi4LiteSignature(address_bits=ADDRESS_BITS)
        super().__init__({
            **axi.flat_members("m_axi", self._read_bus),
            **axi.flat_members("m_axi", self._write_bus),
            **{name: member.flip() for name, member in axi.flat_members("s_axil", self._host_bus).items()},
            "irq": Out(1),
            "probe_valid": Out(1), "probe_layer": Out(16), "probe": Out(probe_layout(config).size),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.registers = registers = RegisterFile(self._config)
        m.submodules.sequencer = sequencer = Sequencer(self._config)
        m.submodules.counters = counters = PerformanceCounters(self._config)
        m.submodules.read_dma = read_dma = ReadDma(self._config)
        m.submodules.write_dma = write_dma = WriteDma(self._config)
        engine = Engine(self._config)
        m.submodules.engine = ResetInserter(sequencer.o_engine_reset)(engine)

        wiring.connect(m, read_dma.axi, axi.flat_view(self, "m_axi", self._read_bus))
        wiring.connect(m, write_dma.axi, axi.flat_view(self, "m_axi", self._write_bus))
        wiring.connect(m, registers.axi, axi.flat_view(self, "s_axil", self._host_bus.flip()))
        wiring.connect(m, engine.o_request, read_dma.i_request)
        wiring.connect(m, read_dma.o_data, engine.i_data)
        wiring.connect(m, engine.o_writes, write_dma.i_data)
        m.d.comb += [
            # Host to sequencer and engine.
            sequencer.i_start.eq(registers.o_start), engine.i_start.eq(sequencer.o_engine_start),
            engine.i_keep_weights.eq(registers.o_keep_weights),
            engine.i_image_address.eq(registers.o_image_address),
            engine.i_descriptor_offset.eq(registers.o_descriptor_offset),
            engine.i_input_address.eq(registers.o_input_address),
            engine.i_output_address.eq(registers.o_output_address),
            engine.i_scratch_address.eq(registers.o_scratch_address),
            registers.i_busy.eq(sequencer.o_busy), registers.i_done.eq(sequencer.o_done),
            registers.i_error_code.eq(sequencer.o_error_code), registers.i_layer.eq(sequencer.o_layer),
            registers.i_counters.eq(counters.o), self.irq.eq(registers.o_irq),
            # Sequencer and engine.
            sequencer.i_descriptor_valid.eq(engine.o_descriptor_valid), sequencer.i_descriptor.eq(engine.o_descriptor),
            engine.i_take.eq(sequencer.o_take), engine.i_start_input.eq(sequencer.o_start_input),
            engine.i_start_layer.eq(sequencer.o_start_layer), sequencer.i_input_busy.eq(engine.o_input_busy),
            sequencer.i_loop_busy.eq(engine.o_loop_busy), sequencer.i_waiting.eq(engine.o_waiting),
            sequencer.i_pipeline_busy.eq(engine.o_pipeline_busy), sequencer.i_events.eq(engine.o_events),
            sequencer.i_engine_error.eq(engine.o_error), sequencer.i_writes_valid.eq(engine.o_writes.valid),
            # DMAs.
            read_dma.i_discard.eq(sequencer.o_discard), sequencer.i_read_error.eq(read_dma.o_error),
            sequencer.i_read_idle.eq(read_dma.o_idle), sequencer.i_write_idle.eq(write_dma.o_idle),
            sequencer.i_write_error.eq(write_dma.o_error), sequencer.i_write_done.eq(write_dma.o_done),
            write_dma.i_request.valid.eq(sequencer.o_write),
            write_dma.i_request.payload.address.eq(engine.o_write_address),
            write_dma.i_request.payload.length.eq(engine.o_write_length),
            # Counters.
            counters.i_clear.eq(sequencer.o_engine_start), counters.i_cause_valid.eq(sequencer.o_cause_valid),
            counters.i_cause.eq(sequencer.o_cause), counters.i_events.eq(engine.o_events),
            counters.i_read_burst.eq(read_dma.o_burst), counters.i_read_stream.eq(read_dma.o_burst_stream),
            counters.i_read_beats.eq(read_dma.o_burst_beats), counters.i_write_burst.eq(write_dma.o_burst),
            counters.i_write_beats.eq(write_dma.o_burst_beats), counters.i_write_map.eq(engine.o_write_map),
            # Probe.
            self.probe_valid.eq(engine.o_probe_valid), self.probe_layer.eq(sequencer.o_layer),
            self.probe.eq(engine.o_probe),
        ]
        return m
