"""AXI4 and AXI4-Lite as Amaranth signatures, so that a component states its bus in one line.

Member names are the standard's signal names in lower case without underscore; a top whose members carry the prefix
(`flat_members`) gets the Verilog ports that every AXI tool expects: m_axi_araddr, m_axi_arlen, ...

# Ref: Arm IHI 0022 (AMBA AXI Protocol Specification), issue H.c, chapters A2 (signals), A3 (transfers), B1 (AXI4-Lite)
"""

import enum

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

#: Width of every memory address on the AXI4 bus.
ADDRESS_BITS = 32
#: Width of AxLEN, which holds the number of beats less one.
LENGTH_BITS = 8


class Burst(enum.IntEnum):
    """AxBURST. Ref: IHI 0022 table A3-3"""

    FIXED = 0
    INCR = 1
    WRAP = 2


class Response(enum.IntEnum):
    """RRESP and BRESP. Ref: IHI 0022 table A3-4"""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


def beat_size(data_bits: int) -> int:
    """AxSIZE of a full-width beat: the binary logarithm of its bytes.

    >>> beat_size(32), beat_size(64)
    (2, 3)
    """
    if data_bits not in (8, 16, 32, 64, 128, 256, 512, 1024):
        raise ValueError(f"AXI data width must be a power of two from 8 to 1024, not {data_bits!r}")
    return (data_bits // 8).bit_length() - 1


class Axi4ReadSignature(wiring.Signature):
    """The read channels of an AXI4 master, without IDs: everything stays in order.

    Parameters
    ----------
    data_bits : width of `rdata`.

    Members
    -------
    araddr : Out(32), arlen : Out(8), arsize : Out(3), arburst : Out(2), arvalid : Out(1), arready : In(1)
    rdata : In(data_bits), rresp : In(2), rlast : In(1), rvalid : In(1), rready : Out(1)
    """

    def __init__(self, *, data_bits: int) -> None:
        beat_size(data_bits)  # refuses a width that AXI does not have
        super().__init__({
            "araddr": Out(ADDRESS_BITS), "arlen": Out(LENGTH_BITS), "arsize": Out(3), "arburst": Out(2),
            "arvalid": Out(1), "arready": In(1),
            "rdata": In(data_bits), "rresp": In(2), "rlast": In(1), "rvalid": In(1), "rready": Out(1),
        })


class Axi4WriteSignature(wiring.Signature):
    """The write channels of an AXI4 master, without IDs.

    Parameters
    ----------
    data_bits : width of `wdata`.

    Members
    -------
    awaddr : Out(32), awlen : Out(8), awsize : Out(3), awburst : Out(2), awvalid : Out(1), awready : In(1)
    wdata : Out(data_bits), wstrb : Out(data_bits // 8), wlast : Out(1), wvalid : Out(1), wready : In(1)
    bresp : In(2), bvalid : In(1), bready : Out(1)
    """

    def __init__(self, *, data_bits: int) -> None:
        beat_size(data_bits)
        super().__init__({
            "awaddr": Out(ADDRESS_BITS), "awlen": Out(LENGTH_BITS), "awsize": Out(3), "awburst": Out(2),
            "awvalid": Out(1), "awready": In(1),
            "wdata": Out(data_bits), "wstrb": Out(data_bits // 8), "wlast": Out(1), "wvalid": Out(1), "wready": In(1),
            "bresp": In(2), "bvalid": In(1), "bready": Out(1),
        })


class Axi4LiteSignature(wiring.Signature):
    """All channels of an AXI4-Lite master with 32-bit data; a slave has it as `In`.

    Parameters
    ----------
    address_bits : width of `awaddr` and `araddr`, byte addresses.

    Members
    -------
    awaddr : Out(address_bits), awprot : Out(3), awvalid : Out(1), awready : In(1)
    wdata : Out(32), wstrb : Out(4), wvalid : Out(1), wready : In(1)
    bresp : In(2), bvalid : In(1), bready : Out(1)
    araddr : Out(address_bits), arprot : Out(3), arvalid : Out(1), arready : In(1)
    rdata : In(32), rresp : In(2), rvalid : In(1), rready : Out(1)
    """

    def __init__(self, *, address_bits: int) -> None:
        if not 1 <= address_bits <= 64:
            raise ValueError(f"AXI4-Lite address width must lie in 1..64, not {address_bits!r}")
        super().__init__({
            "awaddr": Out(address_bits), "awprot": Out(3), "awvalid": Out(1), "awready": In(1),
            "wdata": Out(32), "wstrb": Out(4), "wvalid": Out(1), "wready": In(1),
            "bresp": In(2), "bvalid": In(1), "bready": Out(1),
            "araddr": Out(address_bits), "arprot": Out(3), "arvalid": Out(1), "arready": In(1),
            "rdata": In(32), "rresp": In(2), "rvalid": In(1), "rready": Out(1),
        })


def flat_members(prefix: str, signature: wiring.Signature) -> dict[str, wiring.Member]:
    """Members of a bus as members of its owner, with plain Verilog port names (nested ones would get a `__`).

    >>> sorted(flat_members("m_axi", Axi4ReadSignature(data_bits=32)))[0]
    'm_axi_araddr'
    """
    return {f"{prefix}_{name}": member for name, member in signature.members.items()}


def flat_view(owner: wiring.Component, prefix: str,
              signature: wiring.Signature | wiring.FlippedSignature) -> wiring.PureInterface | wiring.FlippedInterface:
    """The prefixed members of `owner` as one interface again, seen from inside, ready for `wiring.connect`."""
    view = signature.flip().create()
    for name in signature.members:
        setattr(view, name, getattr(owner, f"{prefix}_{name}"))
    return view
