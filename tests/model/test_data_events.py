"""N-MNIST folders in both forms: small files written here, and what is refused."""

import numpy as np
import pytest
import torch

from s2nn.hw.spec.errors import DataError
from s2nn.model.augment import augment
from s2nn.model.data import load_dataset
from s2nn.model.data_events import EVENT_STEPS, SIDE, WINDOW_US, read_events
from s2nn.model.recipe import Augmentation

STEP_US = WINDOW_US // EVENT_STEPS


def event_bytes(events):
    """Rows (x, y, polarity, time_us)."""
    return b"".join(bytes([x, y]) + (p << 23 | t).to_bytes(3, "big") for x, y, p, t in events)


def random_events(seed, count=40):
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, WINDOW_US + 9000, size=count))
    return [(int(rng.integers(SIDE)), int(rng.integers(SIDE)), int(rng.integers(2)), int(t)) for t in times]


def expected_spikes(events):
    spikes = np.zeros((EVENT_STEPS, 2, SIDE, SIDE), dtype=np.uint8)
    for x, y, p, t in events:
        spikes[min(t // STEP_US, EVENT_STEPS - 1), p, y, x] = 1
    return spikes


def write_folder(root, recordings):
    for number, (part, digit, events) in enumerate(recordings):
        path = root / part / str(digit) / f"{number:05d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(event_bytes(events))


def write_arrays(path, recordings):
    x, y, p, t = (np.concatenate([[event[k] for event in events] for _, _, events in recordings]) for k in range(4))
    starts = np.cumsum([0] + [len(events) for _, _, events in recordings])[:-1]
    gaps = np.diff(t, prepend=0)
    gaps[starts] = t[starts]
    arrays = {"x": x.astype(np.uint8), "y": y.astype(np.uint8), "p": np.packbits(p.astype(np.uint8)),
              "dt": gaps.astype(np.uint16), "n": np.array([len(e) for _, _, e in recordings], dtype=np.uint16),
              "label": np.array([digit for _, digit, _ in recordings], dtype=np.uint8)}
    np.savez(path, **arrays)
    return arrays


RECORDINGS = [("Train", 0, random_events(1)), ("Train", 7, random_events(2)), ("Train", 7, random_events(3)),
              ("Test", 3, random_events(4)), ("Test", 9, random_events(5, 30))]
TRAIN, TEST = RECORDINGS[:3], RECORDINGS[3:]


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("arrays", [True, False])
def test_both_forms_give_the_same_spikes(tmp_path, inside, arrays):
    root = tmp_path / "nmnist" if inside else tmp_path
    root.mkdir(exist_ok=True)
    if arrays:
        write_arrays(root / "train.npz", TRAIN)
        write_arrays(root / "test.npz", TEST)
    else:
        write_folder(root, RECORDINGS)
    data = load_dataset("nmnist", root=tmp_path)
    assert data.input_shape == (2, SIDE, SIDE) and data.spike_steps == EVENT_STEPS
    assert data.train_labels.tolist() == [0, 7, 7] and data.test_labels.tolist() == [3, 9]
    for spikes, recordings in ((data.train_images, TRAIN), (data.test_images, TEST)):
        assert np.array_equal(spikes.numpy(), [expected_spikes(events) for _, _, events in recordings])


@pytest.mark.parametrize(("time_us", "step"), [(0, 0), (STEP_US - 1, 0), (STEP_US, 1), (WINDOW_US - 1, 9),
                                               (WINDOW_US, 9), ((1 << 23) - 1, 9)])
def test_steps_begin_at_their_first_microsecond(tmp_path, time_us, step):
    path = tmp_path / "one.bin"
    path.write_bytes(event_bytes([(33, 5, 1, time_us)]))
    assert np.argwhere(read_events(path)).tolist() == [[step, 1, 5, 33]]


@pytest.mark.parametrize(("data", "text"), [
    (b"", "size must be a positive multiple of 5 bytes, not 0"),
    (event_bytes([(1, 2, 1, 3)])[:-1], "size must be a positive multiple of 5 bytes, not 4"),
    (event_bytes([(34, 2, 1, 3)]), r"x and y of an event must lie in 0\.\.33, not 34"),
    (event_bytes([(2, 200, 1, 3)]), "not 200"),
])
def test_damaged_files_are_refused(tmp_path, data, text):
    write_folder(tmp_path, RECORDINGS)
    path = next((tmp_path / "Train" / "0").iterdir())
    path.write_bytes(data)
    with pytest.raises(DataError, match=f"{path.name}: .*{text}"):
        load_dataset("nmnist", root=tmp_path)


@pytest.mark.parametrize(("change", "text"), [
    ({"dt": np.zeros(3, np.uint16)}, "dt: must have 120 entries for 3 recordings of 120 events, not 3"),
    ({"p": np.zeros(14, np.uint8)}, "p: must have 15 entries"),
    ({"label": np.array([0, 1], np.uint8)}, "label: must have 3 entries"),
    ({"label": np.array([0, 1, 10], np.uint8)}, r"labels must be 0\.\.9, not 10"),
    ({"x": None}, "must hold the arrays x, y, p, dt, n and label"),
])
def test_damaged_arrays_are_refused(tmp_path, change, text):
    arrays = write_arrays(tmp_path / "test.npz", TRAIN)
    arrays = {name: value for name, value in (arrays | change).items() if value is not None}
    np.savez(tmp_path / "train.npz", **arrays)
    with pytest.raises(DataError, match=f"train.npz: .*{text}"):
        load_dataset("nmnist", root=tmp_path)


def test_missing_parts_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"must hold Train and Test .* or train\.npz and test\.npz"):
        load_dataset("nmnist", root=tmp_path)
    write_folder(tmp_path, TRAIN)
    with pytest.raises(DataError, match="Test: must exist: the test part"):
        load_dataset("nmnist", root=tmp_path)
    (tmp_path / "Test").mkdir()
    with pytest.raises(DataError, match=r"Test: must hold folders 0 to 9 of \.bin files"):
        load_dataset("nmnist", root=tmp_path)
    (tmp_path / "train.npz").write_bytes(b"no zip")
    with pytest.raises(DataError, match="nmnist needs a data folder"):
        load_dataset("nmnist", root=None)


def test_spikes_stay_spikes_and_move_alike_at_all_steps():
    spikes = (torch.rand(5, 3, 2, 9, 9, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    same_at_all_steps = spikes[:, :1].expand(-1, 3, -1, -1, -1)
    options = Augmentation(shift_px=2, rotate_deg=20, scale=0.1)
    moved = augment(same_at_all_steps.contiguous(), options, generator=torch.Generator().manual_seed(2))
    assert moved.shape == spikes.shape and set(moved.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(moved, moved[:, :1].expand_as(moved)) and not torch.equal(moved, same_at_all_steps)
    off = Augmentation(shift_px=0, rotate_deg=0, scale=0)
    assert torch.equal(augment(spikes, off, generator=torch.Generator()), spikes)
