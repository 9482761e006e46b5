"""`s2nn run` on a stand-in for the RTL: what it leaves behind, and that every check notices what it is there for."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from s2nn.hw.spec.build import build_image
from s2nn.hw.spec.config import TINY
from s2nn.hw.spec.errors import DataError, SimulationError
from s2nn.model.data import load_dataset
from s2nn.tools.lowering import common_workload
from s2nn.tools.plots import PLOT_FILES, draw_plots
from s2nn.tools.run import run_comparison
from s2nn.tools.simulation import run_golden
from s2nn.tools.stats import read_stats
from s2nn.tools.tables import comparison_rows, comparison_table
from s2nn.tools.verify import compare_with_torch


@pytest.fixture(scope="module")
def result(pair, workload, stand_in, tmp_path_factory):
    return run_comparison(TINY, pair, workload, stand_in(), folder=tmp_path_factory.mktemp("run"))


@pytest.fixture
def no_plots(monkeypatch):
    monkeypatch.setattr("s2nn.tools.run.draw_plots", lambda stats, folder: [])


def test_a_run_leaves_data_plots_and_a_report(result):
    names = {path.name for path in result.folder.iterdir()}
    assert names == {"binary", "eta4", "stats.json", "counters.csv", "layers.csv", "plots", "report.html"}
    assert {path.name for path in (result.folder / "plots").iterdir()} == set(PLOT_FILES)
    assert result.failures == ()
    assert all(check["passed"] for net in result.stats["nets"] for check in net["checks"])


def test_stats_name_their_origin(result):
    stats = read_stats(result.folder)
    assert stats == json.loads(json.dumps(result.stats))
    assert stats["baseline"] == "binary"
    assert stats["workload"] == {"dataset": "random", "split": "stratified", "images": 3, "indices": [3, 5, 9],
                                 "steps": 4}
    assert stats["nets"][1]["config_digest"] == TINY.digest.hex()
    assert stats["nets"][0]["config_digest"] == TINY.as_binary().digest.hex()
    assert {"python", "numpy", "verilator"} <= set(stats["tools"])


def test_ratios_are_baseline_over_net(result):
    binary, eta4 = result.stats["nets"]
    # Tiles of 4 channels in beats of 4 bytes, three images: 3 tiles of 8 groups and 2 tiles of 12 groups, of nine bits
    # each (the second kind ends in half a beat) against four bits and 32 bytes of codebook per layer.
    assert binary["hidden_weight_read_bytes"] == 3 * (3 * 36 + 2 * (54 + 2))
    assert eta4["hidden_weight_read_bytes"] == 3 * (3 * 16 + 2 * 24 + 2 * 32)
    ratios = result.stats["ratios"]["eta4"]
    assert ratios["hidden_weight_bytes"] == 220 / 160
    assert ratios["hidden_weight_bytes"] > ratios["weight_bytes"] > ratios["all_stream_bytes"] > 1
    rows = {(row.section, row.name): row for row in comparison_rows(result.stats)}
    assert rows["DRAM bytes per image", "weights only: hidden layers"].values == (220, 160)
    assert rows["DRAM bytes per image", "weights only: hidden layers"].ratio == 220 / 160
    assert rows["bits per weight", "hidden layers, indices alone"].values == (1, pytest.approx(4 / 9))


def test_figures_are_per_image(result):
    rows = {(row.section, row.name): row for row in comparison_rows(result.stats)}
    one = result.stats["nets"][0]
    total = sum(image["cycles.total"] for image in one["counters_per_image"]) / 3
    assert rows["cycles per image", "total"].values[0] == total
    causes = [row.values[0] for (section, name), row in rows.items() if section == "cycles per image"][1:10]
    assert sum(causes) == pytest.approx(total)
    assert rows["energy per image (datasheet table)", "DRAM dynamic"].values[0] == pytest.approx(
        one["energy_pj"]["datasheet"]["dram"]["dynamic_pj"] / 3 / 1000)


def test_csv_files_hold_the_same_numbers(result):
    rows = list(csv.DictReader((result.folder / "counters.csv").open()))
    eta4 = result.stats["nets"][1]
    total = sum(int(row["value"]) for row in rows if row["net"] == "eta4" and row["counter"] == "array.adds")
    assert total == eta4["counters"]["array.adds"]
    assert {row["image"] for row in rows} == {"3", "5", "9"}
    layers = [row for row in csv.DictReader((result.folder / "layers.csv").open()) if row["net"] == "eta4"]
    assert [row["layer"] for row in layers] == ["load_input", "conv0", "conv1", "conv2", "classifier"]
    assert sum(int(row["array.adds"]) for row in layers) == eta4["counters"]["array.adds"]


def test_the_report_needs_no_other_file(result):
    text = (result.folder / "report.html").read_text()
    assert text.count("data:image/png;base64,") == len(PLOT_FILES)
    assert "http" not in text
    for word in ("binary", "eta4", "measured (RTL)", "modelled", "weights only: hidden layers", "logits = golden"):
        assert word in text
    assert "$" not in text.replace("$readmemh", "")


def test_plots_are_pure_functions_of_the_data(result, tmp_path):
    again = draw_plots(read_stats(result.folder), tmp_path / "again")
    for path in again:
        assert path.read_bytes() == (result.folder / "plots" / path.name).read_bytes()


def test_one_net_alone_has_no_ratios(pair, workload, stand_in, tmp_path, no_plots):
    result = run_comparison(TINY, pair[1:], workload, stand_in(), folder=tmp_path)
    assert result.stats["ratios"] == {}
    assert all(row.ratio is None for row in comparison_rows(result.stats))
    assert comparison_table(result.stats).row_count > 20


def flip_spike(spikes):
    changed = spikes[1].copy()
    changed[2, 3, 1, 1] ^= True
    return (spikes[0], changed, *spikes[2:])


def bump(name, by=1):
    return lambda values: {**values, name: values[name] + by}


SPOILERS = [
    ({"spikes": flip_spike}, "spikes of every layer",
     "conv1 differs in 1 of 432 spikes, first at step 2, channel 3, row 1, column 1"),
    ({"spikes": lambda spikes: spikes[:-1]}, "spikes of every layer", "2 spiking layers, must be 3"),
    ({"spikes": lambda spikes: (spikes[0][:, :, 1:], *spikes[1:])}, "spikes of every layer", "conv0 has shape"),
    ({"stray_spikes": lambda count: 4}, "spikes of every layer", "4 spikes beyond the layers' channels"),
    ({"logits": lambda logits: logits + np.array([0, 0, 0, 1])}, "logits", "logits ["),
    ({"counters": bump("array.adds")}, "work and traffic counters", "array.adds = "),
    ({"counters": bump("neuron.spikes", -1)}, "work and traffic counters", "neuron.spikes = "),
    ({"counters": bump("cycles.neuron")}, "cycles by cause", "causes add up to"),
    ({"counters": bump("cycles.total")}, "cycles by cause", "causes add up to"),
    ({"bus_bytes": bump("index", 8)}, "bytes and bursts on AXI", "index moved"),
    ({"bus_bursts": bump("logits")}, "bytes and bursts on AXI", "logits moved 2 bursts, the counter says 1"),
    ({"bus_bytes": bump("other", 64)}, "bytes and bursts on AXI", "other moved 64 bytes, the counter says 0"),
    ({"counters": bump("dram.codebook_read_bytes", 4)}, "bytes read = section sizes", "codebook_read moved"),
]


@pytest.mark.parametrize(("changes", "law", "text"), SPOILERS, ids=[text for _, _, text in SPOILERS])
def test_every_check_notices(pair, workload, stand_in, tmp_path, no_plots, changes, law, text):
    def spoil(run):
        return replace(run, **{name: change(getattr(run, name)) for name, change in changes.items()})

    result = run_comparison(TINY, pair[1:], workload, stand_in(spoil=spoil), folder=tmp_path)
    failed = [check for check in result.stats["nets"][0]["checks"] if not check["passed"]]
    assert any(check["name"].startswith(law) for check in failed)
    assert any(text in line for line in result.failures)
    assert all(len(check["failures"]) >= 3 for check in failed if check["name"].startswith(law))  # one per image


def test_torch_notices_a_wrong_golden_model(pair, workload, stand_in):
    net = pair[1]
    image = build_image(net.config, net.program)
    addresses = stand_in().addresses(net.config, image)
    golden = run_golden(net.config, net.program, image, workload.images, addresses=addresses)
    assert compare_with_torch(net.program, workload.images, golden).passed
    golden.result.layers[1].spikes[2, 0, 3, 1, 1] ^= True
    golden.result.layers[2].membrane[0, 0, 0, 0] += 1
    golden.result.logits[1, 0] += 1
    failures = compare_with_torch(net.program, workload.images, golden).failures
    assert [failure.split(":")[0] for failure in failures] == ["image 2", "image 0", "image 1"]


def test_a_result_must_come_for_every_image(pair, workload, stand_in, tmp_path):
    class Short(stand_in):
        def run(self, *arguments, **options):
            return super().run(*arguments, **options)[:-1]

    with pytest.raises(SimulationError, match="a simulation of 3 images must give a result for each, not 2"):
        run_comparison(TINY, pair, workload, Short(), folder=tmp_path)


def test_nets_are_compared_on_what_all_have_held_out(pair):
    digits = [replace(net, dataset="digits") for net in pair]
    official = load_dataset("digits")
    work = common_workload([digits[0], replace(digits[1], split=f"{digits[1].split}; 300 of 1438 images")], None)
    assert work.split == official.split and np.array_equal(work.images, official.test_images)
    fold = "fold 1 of 5, stratified, seed 0"
    work = common_workload([replace(net, split=fold) for net in digits], None)
    assert work.split == fold and np.array_equal(work.labels, official.cross_validated(1, 5).test_labels)
    for other in (replace(digits[1], dataset="random"), replace(digits[1], split=fold)):
        with pytest.raises(DataError, match="must share their data set and its split"):
            common_workload([digits[0], other], None)


@pytest.mark.parametrize("text", ["", "[]", '{"format": "s2nn-stats", "version": 99}'])
def test_a_damaged_result_is_refused(tmp_path, text):
    (tmp_path / "stats.json").write_text(text)
    with pytest.raises(SimulationError, match=r"stats\.json"):
        read_stats(tmp_path)
