"""N-MNIST, events of a camera that looks at MNIST digits in three saccades, as spikes of `EVENT_STEPS` time steps.

    folders       Train/<digit>/<number>.bin and Test/...; an event is 5 bytes, big endian: x, y, one bit of polarity,
                  23 bits of time in us.  # Ref: Orchard et al., Frontiers in Neuroscience 2015; its web page
    arrays        train.npz, test.npz: x, y uint8; p = packed bits of the polarity; dt uint16, us since the event before
                  of the same recording (the first: since 0); n = events of each recording; label

A step lasts `WINDOW_US / EVENT_STEPS`; what comes later counts for the last one. A pixel of a polarity spikes in a step
if it had an event there.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from s2nn.hw.spec.errors import DataError
from s2nn.model.data_cifar import Part

SIDE, POLARITIES, CLASSES = 34, 2, 10
EVENT_BYTES = 5
#: Three saccades of 100 ms; recordings are a few ms longer.
WINDOW_US = 300_000
EVENT_STEPS = 10


def event_spikes(x: np.ndarray, y: np.ndarray, polarity: np.ndarray, time_us: np.ndarray, *,
                 source: object) -> np.ndarray:
    """Events of one recording -> uint8 [T, 2, 34, 34] of 0 and 1; refuses a pixel outside the sensor."""
    if x.size and max(int(x.max()), int(y.max())) >= SIDE:
        raise DataError(f"x and y of an event must lie in 0..{SIDE - 1}", value=max(int(x.max()), int(y.max())),
                        source=source)
    step = np.minimum(time_us.astype(np.int64) * EVENT_STEPS // WINDOW_US, EVENT_STEPS - 1)
    spikes = np.zeros((EVENT_STEPS, POLARITIES, SIDE, SIDE), dtype=np.uint8)
    spikes[step, polarity.astype(np.int64), y, x] = 1
    return spikes


def read_events(path: Path) -> np.ndarray:
    """One file of five-byte events as spikes [T, 2, 34, 34]."""
    raw = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    if raw.size == 0 or raw.size % EVENT_BYTES:
        raise DataError(f"size must be a positive multiple of {EVENT_BYTES} bytes", value=raw.size, source=path)
    x, y, *rest = raw.reshape(-1, EVENT_BYTES).T
    high, middle, low = (part.astype(np.int64) for part in rest)
    return event_spikes(x, y, high >> 7, (high & 0x7F) << 16 | middle << 8 | low, source=path)


def _read_folder(folder: Path) -> Part:
    paths = [(path, digit) for digit in range(CLASSES) for path in sorted((folder / str(digit)).glob("*.bin"))]
    if not paths:
        raise DataError("must hold folders 0 to 9 of .bin files", source=folder)
    return np.stack([read_events(path) for path, _ in paths]), np.array([digit for _, digit in paths])


def _read_arrays(path: Path) -> Part:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            x, y, packed, gaps, counts, labels = (arrays[name] for name in ("x", "y", "p", "dt", "n", "label"))
    except (KeyError, ValueError, OSError) as error:
        raise DataError(f"must hold the arrays x, y, p, dt, n and label ({error})", source=path) from error
    total = int(counts.sum())
    for name, length, expected in (("x", len(x), total), ("y", len(y), total), ("dt", len(gaps), total),
                                   ("p", len(packed), -(-total // 8)), ("label", len(labels), len(counts))):
        if length != expected:
            raise DataError(f"must have {expected} entries for {len(counts)} recordings of {total} events",
                            value=length, field=name, source=path)
    if labels.size and int(labels.max()) >= CLASSES:
        raise DataError(f"labels must be 0..{CLASSES - 1}", value=int(labels.max()), source=path)
    polarity = np.unpackbits(packed)[:total]
    ends = counts.astype(np.int64).cumsum()
    spikes = [event_spikes(x[a:b], y[a:b], polarity[a:b], gaps[a:b].astype(np.int64).cumsum(), source=path)
              for a, b in zip(ends - counts, ends, strict=True)]
    return np.stack(spikes), labels


def read_nmnist(folder: Path) -> tuple[Part, Part]:
    """(train spikes [N, T, 2, 34, 34], labels [N]), (test spikes, labels), from whichever form the folder holds."""
    forms: list[tuple[tuple[str, str], Callable[[Path], Part]]] = [(("Train", "Test"), _read_folder),
                                                                   (("train.npz", "test.npz"), _read_arrays)]
    for names, read in forms:
        if (folder / names[0]).exists():
            if not (folder / names[1]).exists():
                raise DataError("must exist: the test part", source=folder / names[1])
            return read(folder / names[0]), read(folder / names[1])
    raise DataError("must hold Train and Test (folders of .bin files), or train.npz and test.npz", source=folder)
