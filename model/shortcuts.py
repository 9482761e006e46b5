"""Lowering of membrane shortcuts (MS-ResNet, arXiv 2112.08954): in which units currents are kept, and added.

A neuron of channel o counts in units of its own: an integer current of unit_o is a current of 1 (see `lower`). What a
layer keeps is that integer less k_o bits, so a step of it is worth 2^k_o / unit_o, and a layer that adds it multiplies:

    gain_o = step_o * unit_o        step_o = 2^k_o / unit_o of the layer that keeps, unit_o of the one that adds

k_o needs no data: BN says that a channel's own currents have mean beta_o and spread |gamma_o|; with a shortcut in it,
means and squares of spreads add up, as those of independent values do. k_o is the least shift with which REACH spreads
around the mean are not clamped. Rounding errs by half a step, below (|mean| + REACH*spread) / (2^(B-1) - 1) of current.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s2nn.hw.spec.descriptor import KEEP_SHIFTS
from s2nn.hw.spec.program import GAIN_LIMIT, GAIN_SHIFTS
from s2nn.hw.spec.semantics import IntArray
from s2nn.model.fold import FoldedLayer
from s2nn.model.nets.stages import Stage

#: Spreads of a channel's current that are kept whole: of normal values all but 6 in 100,000.
REACH = 4.0


@dataclass(frozen=True, kw_only=True)
class KeptMap:
    """A map's kept currents: shift : (c_out,). step : (c_out,) current that the lowest bit is worth."""

    shift: IntArray
    step: np.ndarray

    def largest(self, current_bits: int) -> np.ndarray:
        """(c_out,) largest current, of either sign, that can be kept."""
        return self.step * 2.0 ** (current_bits - 1)


def reaches(stages: Sequence[Stage], layers: Sequence[FoldedLayer]) -> dict[str, np.ndarray]:
    """By stage whose current is kept (c_out,): the largest |current| to expect."""
    moments: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for stage, layer in zip(stages, layers, strict=False):
        if layer.current_mean is None or layer.current_spread is None:
            continue
        mean, square = layer.current_mean.double().numpy(), layer.current_spread.double().numpy() ** 2
        if stage.membrane is not None:
            mean, square = mean + moments[stage.membrane][0], square + moments[stage.membrane][1]
        moments[stage.name] = mean, square
    return {name: np.abs(mean) + REACH * np.sqrt(square) for name, (mean, square) in moments.items()}


def keep(reach: np.ndarray, unit: np.ndarray, current_bits: int) -> KeptMap:
    """Shifts that keep currents up to `reach` (c_out,); unit (c_out,) as in `lower`."""
    needed = np.maximum(reach * unit / ((1 << current_bits - 1) - 1), 1.0)
    shift = np.ceil(np.log2(needed)).astype(np.int64).clip(KEEP_SHIFTS[0], KEEP_SHIFTS[-1])
    return KeptMap(shift=shift, step=2.0**shift / unit)


def gains(kept: KeptMap, unit: np.ndarray) -> tuple[IntArray, int]:
    """Mantissas of the gains, and their shift, with which a layer of that unit adds a map; none exceeds GAIN_LIMIT."""
    gain = kept.step * unit
    shift = max(shift for shift in GAIN_SHIFTS if shift == 0 or gain.max() * 2.0**shift <= GAIN_LIMIT)
    return np.rint(gain * 2.0**shift).astype(np.int64).clip(0, GAIN_LIMIT), shift
