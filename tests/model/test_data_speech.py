"""Spoken digits in both forms: small WAV files written here, the spectrogram of a tone, and what is refused."""

import wave

import numpy as np
import pytest

from s2nn.hw.spec.errors import DataError
from s2nn.model.data import load_dataset
from s2nn.model.data_speech import BANDS, FRAME, FRAMES, HOP, RATE_HZ, log_mel, mel_filters, read_wav


def tone(hertz, samples=2000):
    return (8000 * np.sin(2 * np.pi * hertz * np.arange(samples) / RATE_HZ)).astype(np.int16)


def write_wav(path, audio, *, rate=RATE_HZ, width=2, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(audio.astype("<i2").tobytes())


TAKES = [(digit, speaker, take) for digit in (0, 4) for speaker in ("ann", "bob") for take in (0, 4, 5, 49)]


def recording(digit, speaker, take):
    return tone(200 + 150 * digit + take, samples=900 + 10 * take + (speaker == "bob"))


@pytest.mark.parametrize("form", ["recordings", "spoken_digits/recordings", ".", "arrays"])
def test_every_form_gives_the_official_split(tmp_path, form):
    if form == "arrays":
        audio = [recording(*name) for name in TAKES]
        np.savez(tmp_path / "fsdd.npz", audio=np.concatenate(audio), n=np.array([len(a) for a in audio], np.uint32),
                 digit=np.array([d for d, _, _ in TAKES], np.uint8), take=np.array([t for _, _, t in TAKES], np.uint8))
        ordered = TAKES
    else:
        for digit, speaker, take in TAKES:
            write_wav(tmp_path / form / f"{digit}_{speaker}_{take}.wav", recording(digit, speaker, take))
        ordered = sorted(TAKES, key=lambda name: "{}_{}_{}.wav".format(*name))
    data = load_dataset("spoken_digits", root=tmp_path)
    assert data.input_shape == (1, BANDS, FRAMES) and data.spike_steps is None
    for images, labels, chosen in (
            (data.test_images, data.test_labels, [name for name in ordered if name[2] < 5]),
            (data.train_images, data.train_labels, [name for name in ordered if name[2] >= 5])):
        assert labels.tolist() == [digit for digit, _, _ in chosen]
        assert np.array_equal(images.numpy(), [log_mel(recording(*name)) for name in chosen])


@pytest.mark.parametrize("hertz", [150, 440, 1000, 3100])
def test_a_tone_lights_the_band_that_it_lies_in(hertz):
    image = log_mel(tone(hertz, samples=FRAME + HOP * (FRAMES - 1)))[0]
    frequencies = np.fft.rfftfreq(FRAME, 1 / RATE_HZ)
    expected = mel_filters()[:, np.abs(frequencies - hertz).argmin()].argmax()
    assert set(image.argmax(axis=0).tolist()) <= {expected - 1, expected, expected + 1}
    assert image.max() == 255 and np.median(image) < 100


@pytest.mark.parametrize(("samples", "frames"), [(40, 1), (FRAME, 3), (FRAME + HOP * (FRAMES - 1), FRAMES),
                                                 (20000, FRAMES)])
def test_short_recordings_end_in_silence_and_long_ones_are_cut(samples, frames):
    image = log_mel(tone(500, samples=samples) + 1)
    assert image.shape == (1, BANDS, FRAMES) and image.dtype == np.uint8
    assert (image[0].max(axis=0) > 0).nonzero()[0].max() + 1 == frames


def test_silence_is_black():
    assert log_mel(np.zeros(100, np.int16)).max() == 0


def test_filters_overlap_by_half():
    filters = mel_filters()
    assert filters.shape == (BANDS, FRAME // 2 + 1) and filters.min() == 0 and filters.max() <= 1
    assert ((filters > 0).sum(axis=0) <= 2).all() and (filters[:, 2:-1].sum(axis=0) > 0).all()


@pytest.mark.parametrize(("options", "text"), [
    ({"rate": 16000}, r"must have 8000 Hz, 16 bits and one channel, not \(16000, 16, 1\)"),
    ({"channels": 2}, r".*not \(8000, 16, 2\)"), ({"width": 1}, r".*not \(8000, 8, 1\)"),
])
def test_other_recordings_are_refused(tmp_path, options, text):
    write_wav(tmp_path / "1_ann_0.wav", tone(300), **options)
    with pytest.raises(DataError, match=f"1_ann_0.wav: {text}"):
        load_dataset("spoken_digits", root=tmp_path)


def test_damaged_and_misnamed_files_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"must hold <digit>_<speaker>_<take>\.wav files"):
        load_dataset("spoken_digits", root=tmp_path)
    path = tmp_path / "1_ann_0.wav"
    write_wav(path, tone(300))
    with pytest.raises(DataError, match="must hold recordings of the training part"):
        load_dataset("spoken_digits", root=tmp_path)
    whole = path.read_bytes()
    for data, text in ((whole[:-6], "must hold the 2000 samples of its header"), (whole[:10], "must be a WAV file"),
                       (b"", "must be a WAV file"), (whole[:44], "must hold the 2000 samples")):
        path.write_bytes(data)
        with pytest.raises(DataError, match=f"1_ann_0.wav: {text}"):
            read_wav(path)
    path.rename(tmp_path / "one_ann_0.wav")
    with pytest.raises(DataError, match=r"must be named <digit>_<speaker>_<take>\.wav, not 'one_ann_0.wav'"):
        load_dataset("spoken_digits", root=tmp_path)


@pytest.mark.parametrize(("change", "text"), [
    ({"n": np.array([50, 49])}, "n must add up to the samples"),
    ({"take": np.array([1])}, "an entry for each recording"),
    ({"digit": np.array([1, 10])}, r"digits must be 0\.\.9, not 10"), ({"audio": None}, "must hold the arrays audio"),
])
def test_damaged_arrays_are_refused(tmp_path, change, text):
    arrays = {"audio": tone(300, 100), "n": np.array([50, 50]), "digit": np.array([1, 2]), "take": np.array([0, 9])}
    arrays = {name: value for name, value in (arrays | change).items() if value is not None}
    np.savez(tmp_path / "fsdd.npz", **arrays)
    with pytest.raises(DataError, match=f"fsdd.npz: .*{text}"):
        load_dataset("spoken_digits", root=tmp_path)
