"""What a descriptor must not ask of a configuration; the rest is the exporter's to check."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.hdl import Value
from amaranth.lib import data

from s2nn.hw.spec.config import GROUP_TAPS, MAX_ACTIVATION_PLANES, AcceleratorConfig
from s2nn.hw.spec.descriptor import Opcode, Residual
from s2nn.hw.spec.registers import ErrorCode

#: Loop counts: one that is 0 would run round its counter. By step that has the loop.
_TRANSFER_LOOPS = ("out_height", "out_width", "tiles", "tile_beats")
_INPUT_LOOPS = ("in_channels", "in_height", "in_width", "out_chunks", "out_planes", "out_height", "out_width", "tiles",
                "tile_beats")
_LAYER_LOOPS = ("planes", "steps", "in_blocks", "in_chunks", "in_planes", "groups_y", "groups_x", "out_height",
                "out_width", "out_chunks", "out_planes", "tiles", "tile_beats", "tile_rows")


def check_descriptor(m: Module, config: AcceleratorConfig, d: data.View) -> Signal:
    """The `ErrorCode` of a descriptor, a cycle later; NONE if this configuration can do what it asks."""
    most_planes = max(MAX_ACTIVATION_PLANES, 1 + config.current_bits)  # of a map that is loaded or stored
    faults = {
        "input": ((Opcode.LOAD_INPUT,), [*_zeros(d, _INPUT_LOOPS), d.in_channels > config.lanes,
                                         d.out_chunks > config.max_chunks, d.out_planes > MAX_ACTIVATION_PLANES]),
        "layer": ((Opcode.CONV, Opcode.CLASSIFY), [*_layer_faults(config, d), d.out_chunks > config.max_chunks]),
        "load": ((Opcode.LOAD_MAP,), [*_zeros(d, (*_TRANSFER_LOOPS, "out_chunks", "out_planes")),
                                      d.out_planes > most_planes]),
        "store": ((Opcode.STORE_MAP,), [*_zeros(d, (*_TRANSFER_LOOPS, "in_chunks", "residual_planes")),
                                        d.residual == Residual.NONE, d.residual_planes > most_planes]),
    }
    error = Signal(ErrorCode, name="check_error")
    with m.Switch(d.opcode):
        for name, (opcodes, found) in faults.items():
            refused = Signal(len(found), name=f"{name}_faults", reset_less=True)
            m.d.sync += refused.eq(Cat(found))
            with m.Case(*opcodes), m.If(refused.any()):
                m.d.comb += error.eq(ErrorCode.UNSUPPORTED)
        with m.Default():
            m.d.comb += error.eq(ErrorCode.OPCODE)
    return error


def _layer_faults(config: AcceleratorConfig, d: data.View) -> list[Value]:
    widest = config.index_bits if config.is_codebook else 0
    codebook_allowed = (d.symbol_bits >= 2) & (d.symbol_bits <= widest)
    symbols_fit = Mux(d.codebook, codebook_allowed, d.symbol_bits == GROUP_TAPS)
    tile_fits = Mux(d.resident, d.weight_base + d.tile_rows <= config.weight_bank_rows,
                    d.tile_rows <= config.weight_rows)
    bits = config.current_bits
    adds_spikes = (d.residual == Residual.ADD) | (d.residual == Residual.IAND)
    adds_current = d.residual == Residual.CURRENT
    out_planes_fit = Mux(d.keep_current, d.out_planes == 1 + bits, d.out_planes <= MAX_ACTIVATION_PLANES)
    residual_fits = ~adds_spikes | ((d.residual_planes >= 1) & (d.residual_planes <= MAX_ACTIVATION_PLANES))
    planes_fit = (d.in_planes <= MAX_ACTIVATION_PLANES) & out_planes_fit & residual_fits
    currents_fit = ~(d.keep_current | adds_current)
    if bits:
        currents_fit = (~adds_current | ((d.residual_planes == bits) & ~d.image_input)) \
            & ~(d.keep_current & (d.pool | adds_spikes))
    faults = [*_zeros(d, _LAYER_LOOPS), ~symbols_fit, ~tile_fits, ~planes_fit, ~currents_fit]
    if not config.membrane_words:
        faults += [d.load_membranes, d.store_membranes]
    return faults


def _zeros(d: data.View, names: tuple[str, ...]) -> list[Value]:
    return [d[name] == 0 for name in names]
