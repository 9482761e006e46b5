"""`AcceleratorConfig`: the numbers an accelerator is built from, and every width and depth that follows from them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal

from s2nn.hw.spec.errors import ConfigError

WeightFormat = Literal["codebook", "binary"]

#: Taps of a weight group: the nine positions of a 3x3 kernel of one input channel.
GROUP_TAPS = 9
#: Bits of one input pixel, presented to the engine as that many activation planes.
PIXEL_BITS = 8
#: Most bit planes of an activation: sums of spikes up to 15.
MAX_ACTIVATION_PLANES = 4
#: Most chunks of time steps that a net may have.
MAX_CHUNKS = 63
#: Most rows for weights that stay: descriptors address no more.
MAX_RESIDENT_ROWS = 1 << 16
#: Bytes of one layer descriptor in DRAM.
DESCRIPTOR_BYTES = 64
#: Bytes of one channel's parameters (threshold, bias, sign) in DRAM; as many again (keep shift, gain) follow where
#: currents are kept or added.
PARAM_BYTES = 4
#: Bits that a kept current may have: one plane each beside the spikes, and planes are counted in four bits.
CURRENT_BITS = range(4, 13)
#: What they are where a net needs some and nobody says how many.
DEFAULT_CURRENT_BITS = 8
#: Bytes of one codeword in DRAM (nine bits and the zero mark, in a little-endian 16-bit word).
CODEWORD_BYTES = 2


def ceil_div(numerator: int, denominator: int) -> int:
    """Smallest integer not below the quotient of two positive integers.

    >>> ceil_div(9, 4), ceil_div(8, 4)
    (3, 2)
    """
    return -(-numerator // denominator)


def _is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


@dataclass(frozen=True, kw_only=True)
class AcceleratorConfig:
    """What an accelerator is built from. Equal configurations build equal hardware; `digest` names them.

    Parameters
    ----------
    name : name of the preset; not part of the digest.
    weight_format : "codebook" builds PEs that decode eta-bit indices and also take raw groups (8-bit layers);
        "binary" builds the 1-bit baseline, which takes raw groups only. All else is the same hardware.
    lanes : N, output channels computed side by side; also the channels in one word of the spike buffer.
    time_lanes : T_par, time steps (or input bit planes) computed side by side.
    index_bits : largest eta a codebook layer may use; the codebook holds 2**index_bits codewords.
    axi_data_bits : width of the AXI4 data bus.
    weight_rows : rows of each of the nine weight banks, per half of the double buffer; a row is `lanes` bits.
    resident_rows : further rows of each bank, for layers whose weights stay from one image to the next.
    spike_words : words of each of the nine spike banks; a word is lanes*time_lanes bits.
    membrane_words : words of the membrane buffer, of lanes*membrane_bits bits each, which the schedule `per_step`
        needs; 0 builds none.
    accumulator_bits : unsigned accumulator of popcounts, per lane and time lane.
    membrane_bits : signed membrane potential, per lane.
    current_bits : bits of a current that a layer keeps for a membrane shortcut; 0 builds none.
    fraction_bits : fractional bits of the membrane in spiking layers (accumulators are shifted left by it).
    leak_bits : the leak is a multiplication by leak / 2**leak_bits.
    max_chunks : most chunks of `time_lanes` steps a map may have.
    clock_mhz : nominal clock, used to convert cycles to time; whether a target reaches it is for synthesis to say.
    """

    name: str = "custom"
    weight_format: WeightFormat = "codebook"
    lanes: int = 16
    time_lanes: int = 4
    index_bits: int = 6
    axi_data_bits: int = 64
    weight_rows: int = 1024
    resident_rows: int = 0
    spike_words: int = 1024
    membrane_words: int = 0
    accumulator_bits: int = 20
    membrane_bits: int = 24
    current_bits: int = 0
    fraction_bits: int = 4
    leak_bits: int = 8
    max_chunks: int = 4
    clock_mhz: int = 100

    def __post_init__(self) -> None:
        rules: list[tuple[bool, str, str]] = [
            (self.weight_format in ("codebook", "binary"), "weight_format", "must be 'codebook' or 'binary'"),
            (_is_power_of_two(self.lanes) and self.lanes >= 2, "lanes", "must be a power of two, at least 2"),
            (self.time_lanes in (1, 2, 4, 8), "time_lanes", f"must divide the {PIXEL_BITS} bits of a pixel"),
            (2 <= self.index_bits <= 6, "index_bits", "must lie in 2..6"),
            (self.axi_data_bits in (32, 64, 128, 256), "axi_data_bits", "must be 32, 64, 128 or 256"),
            (self.lanes <= self.axi_data_bits, "lanes", "must not exceed axi_data_bits"),
            (self.axi_data_bits // self.lanes <= GROUP_TAPS, "lanes",
             f"must be at least axi_data_bits/{GROUP_TAPS}: a beat fills each of the nine banks at most once"),
            (_is_power_of_two(self.weight_rows), "weight_rows", "must be a power of two"),
            (0 <= self.resident_rows <= MAX_RESIDENT_ROWS, "resident_rows", f"must lie in 0..{MAX_RESIDENT_ROWS}"),
            (_is_power_of_two(self.spike_words), "spike_words", "must be a power of two"),
            (self.membrane_words == 0 or _is_power_of_two(self.membrane_words), "membrane_words",
             "must be 0 or a power of two"),
            (8 <= self.accumulator_bits <= 31, "accumulator_bits", "must lie in 8..31"),
            (self.accumulator_bits < self.membrane_bits <= 32, "membrane_bits",
             "must exceed accumulator_bits and be at most 32"),
            (self.current_bits == 0 or self.current_bits in CURRENT_BITS, "current_bits",
             f"must be 0 or lie in {CURRENT_BITS[0]}..{CURRENT_BITS[-1]}"),
            (0 <= self.fraction_bits <= 8, "fraction_bits", "must lie in 0..8"),
            (1 <= self.leak_bits <= 8, "leak_bits", "must lie in 1..8"),
            (1 <= self.max_chunks <= MAX_CHUNKS, "max_chunks", f"must lie in 1..{MAX_CHUNKS}"),
            (self.max_chunks >= self.pixel_chunks, "max_chunks",
             f"must hold the {PIXEL_BITS} planes of a pixel in chunks of time_lanes"),
            (self.clock_mhz > 0, "clock_mhz", "must be positive"),
        ]
        for holds, field, rule in rules:
            if not holds:
                raise ConfigError(rule, value=getattr(self, field), field=field, source="AcceleratorConfig")

    @property
    def word_bits(self) -> int:
        """Bits of one spike buffer word: `lanes` channels by `time_lanes` planes."""
        return self.lanes * self.time_lanes

    @property
    def pixel_chunks(self) -> int:
        """Chunks that the bit planes of an input pixel fill."""
        return ceil_div(PIXEL_BITS, self.time_lanes)

    @property
    def axi_bytes(self) -> int:
        """Bytes of one AXI beat."""
        return self.axi_data_bits // 8

    @property
    def slices_per_beat(self) -> int:
        """Weight slices (`lanes` bits each) in one AXI beat."""
        return self.axi_data_bits // self.lanes

    @property
    def descriptor_beats(self) -> int:
        """AXI beats of one layer descriptor."""
        return DESCRIPTOR_BYTES // self.axi_bytes

    @property
    def params_beats(self) -> int:
        """AXI beats of the parameters of one tile of `lanes` channels; twice with kept or added currents."""
        return self.lanes * PARAM_BYTES // self.axi_bytes

    @property
    def logits_beats(self) -> int:
        """AXI beats of the 32-bit logits of one tile."""
        return self.lanes * 4 // self.axi_bytes

    @property
    def codebook_entries(self) -> int:
        """Codewords the codebook memory holds for one layer."""
        return 1 << self.index_bits

    @property
    def is_codebook(self) -> bool:
        """Whether the PEs decode codebook indices."""
        return self.weight_format == "codebook"

    @property
    def weight_bank_rows(self) -> int:
        """Rows of each weight bank: both halves, then the resident ones."""
        return 2 * self.weight_rows + self.resident_rows

    @property
    def weight_buffer_bytes(self) -> int:
        """Capacity of the weight buffer."""
        return GROUP_TAPS * self.weight_bank_rows * self.lanes // 8

    @property
    def spike_buffer_bytes(self) -> int:
        """Capacity of the nine spike banks."""
        return GROUP_TAPS * self.spike_words * self.word_bits // 8

    @property
    def membrane_buffer_bytes(self) -> int:
        """Capacity of the membrane buffer."""
        return self.membrane_words * self.lanes * self.membrane_bits // 8

    @property
    def spilled_word_bytes(self) -> int:
        """Bytes that a word of the spike buffer takes in DRAM: whole beats."""
        return ceil_div(self.word_bits, self.axi_data_bits) * self.axi_bytes

    @property
    def clock_period_ps(self) -> int:
        """Nominal clock period in picoseconds."""
        return 1_000_000 // self.clock_mhz

    def to_json(self) -> dict[str, object]:
        """The fields as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, object]) -> "AcceleratorConfig":
        """Inverse of `to_json`; unknown or missing fields are refused."""
        known = set(cls.__dataclass_fields__)
        if set(fields) != known:
            raise ConfigError("must have exactly the fields of AcceleratorConfig",
                              value=sorted(set(fields) ^ known), source="AcceleratorConfig")
        return cls(**fields)  # type: ignore[arg-type]

    @property
    def digest(self) -> bytes:
        """Eight bytes that name the hardware: SHA-256 of the fields as canonical JSON, without `name`, shortened."""
        fields = {key: value for key, value in asdict(self).items() if key != "name"}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).digest()[:8]

    def as_binary(self) -> "AcceleratorConfig":
        """The 1-bit twin: the same lanes, buffers and bus, built for raw groups only."""
        return replace(self, weight_format="binary")


#: Small enough for proofs and for tests of every corner.
TINY = AcceleratorConfig(name="tiny", lanes=4, time_lanes=2, index_bits=4, axi_data_bits=32, weight_rows=256,
                         spike_words=128, max_chunks=4)
#: iCE40 class.
SMALL = AcceleratorConfig(name="small", lanes=8, time_lanes=2, index_bits=4, axi_data_bits=32, weight_rows=512,
                          spike_words=256, accumulator_bits=16, membrane_bits=20, leak_bits=4, max_chunks=4,
                          clock_mhz=25)
#: ECP5-85F on the ULX3S board: the spike buffer takes what it has in block RAM, so that ResNet-19 at CIFAR size, T = 4,
#: keeps its three live maps on chip.
ULX3S = AcceleratorConfig(name="ulx3s", spike_words=4096, max_chunks=32)
#: A wide array for an ASIC.
ASIC = AcceleratorConfig(name="asic", lanes=64, axi_data_bits=128, weight_rows=1024, spike_words=1024,
                         accumulator_bits=22, membrane_bits=28, clock_mhz=500)

PRESETS = {preset.name: preset for preset in (TINY, SMALL, ULX3S, ASIC)}


def preset(name: str, changes: Mapping[str, int] | None = None, *, field: str = "changes") -> AcceleratorConfig:
    """The preset of that name, with whole-numbered fields changed; its name tells them. `ConfigError` for an unknown
    preset or field, with the list of known ones, and for a value that the field cannot have. `field` is where the
    changes were asked for, for messages.

    >>> preset("ulx3s", {"spike_words": 8192}).name
    'ulx3s-spike_words8192'
    """
    if name not in PRESETS:
        raise ConfigError(f"preset must be one of {', '.join(PRESETS)}", value=name)
    chosen = PRESETS[name]
    if not changes:
        return chosen
    known = sorted(key for key, value in asdict(chosen).items() if isinstance(value, int))
    if unknown := sorted(set(changes) - set(known)):
        raise ConfigError(f"must be one of {', '.join(known)}", value=unknown[0], field=field)
    label = "-".join([name, *(f"{key}{value}" for key, value in sorted(changes.items()))])
    return replace(chosen, name=label, **changes)  # type: ignore[arg-type]
