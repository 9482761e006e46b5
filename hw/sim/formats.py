"""One program in several weight formats: the same weights, so the same spikes, stored with other numbers of bits."""

from dataclasses import replace

import numpy as np

from s2nn.hw.spec.config import GROUP_TAPS
from s2nn.hw.spec.errors import LoweringError
from s2nn.hw.spec.program import Program
from s2nn.hw.spec.weights import ZERO_CODEWORD, Weights


def stored_as(program: Program, eta: int | None) -> Program:
    """The program with the weights of its codebook layers stored as `eta`-bit indices, or as raw groups (None).

    A larger codebook holds the codewords of the smaller one first, and then others that no group names.

    Raises `LoweringError` for an eta below the program's, and for pruned groups stored raw.
    """
    layers = [layer if layer.weights.codebook is None
              else replace(layer, weights=_stored_as(layer.weights, eta, layer.name)) for layer in program.layers]
    return replace(program, layers=tuple(layers))


def _stored_as(weights: Weights, eta: int | None, name: str) -> Weights:
    codebook = weights.codebook
    assert codebook is not None
    if eta is None:
        groups = weights.groups()
        if (groups == ZERO_CODEWORD).any():
            raise LoweringError("pruned groups cannot be stored as raw ones", source=f"layer {name}")
        return Weights(symbols=groups)
    if eta < weights.symbol_bits:
        raise LoweringError(f"eta must be at least the program's {weights.symbol_bits}", value=eta,
                            source=f"layer {name}")
    others = np.setdiff1d(np.arange(1 << GROUP_TAPS, dtype=np.uint16), codebook)
    return Weights(symbols=weights.symbols, codebook=np.concatenate([codebook, others[:(1 << eta) - len(codebook)]]))
