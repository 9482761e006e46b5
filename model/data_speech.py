"""Spoken digits (Free Spoken Digit Dataset) as log-mel spectrograms, one 8-bit image [1, bands, frames] a recording.

    recordings    recordings/<digit>_<speaker>_<take>.wav, or the files themselves: 8 kHz, 16 bit, mono
    arrays        fsdd.npz: audio int16, all recordings in a row; n = samples of each; digit; take

Takes 0 to 4 of each speaker and digit are the test part, the others train: the official split.  # Ref: README of
github.com/Jakobovski/free-spoken-digit-dataset

    power[b, f] = sum over the bins of frame f (Hann window of 32 ms, every 12.5 ms) of mel filter b times |FFT|^2
    pixel       = 255 * (1 + dB / 60), clipped to 0..255
    dB          = 10 log10(power / largest power of the recording, at least 1)
"""

import wave
from pathlib import Path

import numpy as np

from s2nn.hw.spec.errors import DataError
from s2nn.model.data_cifar import Part

RATE_HZ = 8000
FRAME, HOP, BANDS, FRAMES = 256, 100, 32, 64
LOWEST_HZ, RANGE_DB = 60.0, 60.0
#: Loudest power of what counts as silence: a last bit that toggles.
LEAST_POWER = 1.0
TEST_TAKES = 5
CLASSES = 10


def mel_filters() -> np.ndarray:
    """Triangles that overlap by half, evenly spaced in mel = 2595 log10(1 + f/700): [bands, bins].  # Ref: HTK Book"""
    def mel(hertz: float) -> float:
        return 2595 * np.log10(1 + hertz / 700)

    corners = 700 * (10 ** (np.linspace(mel(LOWEST_HZ), mel(RATE_HZ / 2), BANDS + 2) / 2595) - 1)  # Hz
    frequencies = np.fft.rfftfreq(FRAME, 1 / RATE_HZ)
    low, middle, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    return np.minimum((frequencies - low) / (middle - low), (high - frequencies) / (high - middle)).clip(0)


_FILTERS = mel_filters()


def log_mel(audio: np.ndarray) -> np.ndarray:
    """Samples int16 [N] -> uint8 [1, bands, frames]: the first 0.8 s, silence behind a shorter recording."""
    samples = np.zeros(FRAME + HOP * (FRAMES - 1))
    kept = audio[: len(samples)]
    samples[: len(kept)] = kept
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]  # (frames, 256)
    power = _FILTERS @ (np.abs(np.fft.rfft(frames * np.hanning(FRAME), axis=1)) ** 2).T  # (bands, frames)
    decibel = 10 * np.log10(np.maximum(power, LEAST_POWER * 10 ** (-RANGE_DB / 10)) / max(power.max(), LEAST_POWER))
    return np.rint(255 * (1 + decibel / RANGE_DB)).clip(0, 255).astype(np.uint8)[None]


def read_wav(path: Path) -> np.ndarray:
    """Samples int16 [N] of a WAV file of 8 kHz, 16 bit, mono."""
    try:
        with wave.open(str(path), "rb") as file:
            form = file.getframerate(), 8 * file.getsampwidth(), file.getnchannels()
            data, frames = file.readframes(file.getnframes()), file.getnframes()
    except (wave.Error, EOFError, OSError) as error:
        raise DataError(f"must be a WAV file ({error})", source=path) from error
    if form != (RATE_HZ, 16, 1):
        raise DataError(f"must have {RATE_HZ} Hz, 16 bits and one channel", value=form, source=path)
    if len(data) != 2 * frames or not frames:
        raise DataError(f"must hold the {frames} samples of its header, and at least one", value=len(data) // 2,
                        source=path)
    return np.frombuffer(data, dtype="<i2")


def _read_recordings(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(images, digits, takes)."""
    images, digits, takes = [], [], []
    for path in sorted(folder.glob("*.wav")):
        parts = path.stem.split("_")
        if len(parts) != 3 or not (parts[0].isdigit() and parts[2].isdigit() and int(parts[0]) < CLASSES):
            raise DataError("must be named <digit>_<speaker>_<take>.wav", value=path.name, source=folder)
        images.append(log_mel(read_wav(path)))
        digits.append(int(parts[0]))
        takes.append(int(parts[2]))
    return np.stack(images), np.array(digits), np.array(takes)


def _read_arrays(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            audio, counts, digits, takes = (arrays[name] for name in ("audio", "n", "digit", "take"))
    except (KeyError, ValueError, OSError) as error:
        raise DataError(f"must hold the arrays audio, n, digit and take ({error})", source=path) from error
    if len(audio) != int(counts.sum()) or not len(counts) == len(digits) == len(takes) > 0:
        raise DataError("n, digit and take must have an entry for each recording, and n must add up to the samples",
                        value=(len(audio), int(counts.sum()), len(counts), len(digits), len(takes)), source=path)
    if int(digits.max()) >= CLASSES:
        raise DataError(f"digits must be 0..{CLASSES - 1}", value=int(digits.max()), source=path)
    ends = counts.astype(np.int64).cumsum()
    return np.stack([log_mel(part) for part in np.split(audio, ends[:-1])]), digits, takes


def read_fsdd(folder: Path) -> tuple[Part, Part]:
    """(train images [N, 1, bands, frames], digits [N]), (test images, digits), from whichever form the folder holds."""
    recordings = folder / "recordings" if (folder / "recordings").is_dir() else folder
    if (folder / "fsdd.npz").is_file():
        images, digits, takes = _read_arrays(folder / "fsdd.npz")
    elif any(recordings.glob("*.wav")):
        images, digits, takes = _read_recordings(recordings)
    else:
        raise DataError("must hold <digit>_<speaker>_<take>.wav files, a folder recordings of them, or fsdd.npz",
                        source=folder)
    test = takes < TEST_TAKES
    for part, chosen in (("training", ~test), ("test", test)):
        if not chosen.any():
            raise DataError(f"must hold recordings of the {part} part (takes 0 to {TEST_TAKES - 1} are the test part)",
                            value=sorted(set(takes.tolist())), source=folder)
    return (images[~test], digits[~test]), (images[test], digits[test])
