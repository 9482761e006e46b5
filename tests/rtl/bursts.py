"""What the tests of the DMAs share: the plain reference of a request's bursts, and how a refusal is read."""

import gc
from collections.abc import Callable


def split(address: int, beats: int, beat_bytes: int) -> list[tuple[int, int]]:
    """Reference: (address, beats) of the bursts of one request."""
    bursts = []
    address -= address % beat_bytes
    while beats:
        length = min(beats, 256, (4096 - address % 4096) // beat_bytes)
        bursts.append((address, length))
        address = (address + length * beat_bytes) % 2**32
        beats -= length
    return bursts


def refusal(build: Callable[[], object]) -> str:
    """The message that a component is refused with."""
    try:
        build()
    except ValueError as error:
        return str(error)
    finally:
        gc.collect()  # ends the half-built component here, where its warning that nobody used it is ignored
    return ""
