"""The pages under docs/ name every field, register and counter of the contract, at the place where the code has it."""

import json
import re
from pathlib import Path

import pytest

from s2nn.hw.formal.catalogue import PROOFS
from s2nn.hw.spec.descriptor import DESCRIPTOR
from s2nn.hw.spec.registers import COUNTERS, REGISTERS, Cause, ErrorCode
from s2nn.model.checkpoint import load_checkpoint, shipped_checkpoints
from s2nn.model.study import summarise
from s2nn.tools.study import figure

ROOT = Path(__file__).parents[1]
FORMATS = (ROOT / "docs" / "formats.md").read_text()


def test_descriptor_table_is_the_descriptor():
    rows = re.findall(r"^\| ([\d.]+) \| `(\w+)` \| (\d+) \|", FORMATS, re.MULTILINE)
    fields = [(f"{low + field.width - 1}..{low}" if field.width > 1 else f"{low}", field.name, str(field.width))
              for low, field in DESCRIPTOR]
    assert [row for row in rows if row[1] in {name for _, name, _ in fields}] == fields


def test_register_table_is_the_register_map():
    for register in REGISTERS:
        if register.name not in COUNTERS:
            assert re.search(rf"^\| 0x{register.offset:02X} \| `{register.name}` \| {register.access} \|", FORMATS,
                             re.MULTILINE), register.name


@pytest.mark.parametrize("name", [*ErrorCode.__members__, *Cause.__members__])
def test_codes_are_named(name):
    assert re.search(rf"\b{name}\b", FORMATS + (ROOT / "docs" / "architecture.md").read_text(), re.IGNORECASE)


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), target


def test_table_of_proofs_is_the_catalogue():
    rows = re.findall(r"^\| `([\w.-]+)` \| (.*?) \| (.*?) \| (.*?) \|", (ROOT / "docs" / "formal.md").read_text(),
                      re.MULTILINE)
    method = {"prove": "induction, k = {}", "bmc": "bounded, {} cycles"}
    assert rows == [(proof.name, proof.law, proof.config, method[proof.mode].format(proof.depth)) for proof in PROOFS]


#: Weight formats as the tables of accuracy write them, with the bits of a hidden weight.
WEIGHTS = {"fp": ("full precision", "32"), "binary": ("1-bit", "1"), "eta6": ("η = 6", "0.67"),
           "eta5": ("η = 5", "0.56"), "eta4": ("η = 4", "0.44")}


RESULTS = {path.name: json.loads(path.read_text()) for path in (ROOT / "docs" / "results").glob("*.json")}
STUDIES = sorted(name for name, document in RESULTS.items() if "study" in document)


@pytest.mark.parametrize("name", STUDIES)
def test_tables_of_accuracy_are_the_results(name):
    study, page = RESULTS[name], (ROOT / "docs" / "accuracy.md").read_text()
    section = page.partition(f"s2nn study {study['study']} ")[0].rpartition("\n## ")[2]
    expected, arms = [], {}
    for row in study["summary"]:
        floats, integers = figure(row, "float_{}_percent"), figure(row, "integer_{}_percent")
        if row["arm"]:
            gain = figure(row, "float_over_baseline_{}_points", signed=True)
            arms.setdefault(f"`{row['arm']}`", []).extend((floats, gain, integers))
        else:
            label, bits = WEIGHTS[row["weights"]]
            expected.append((label, floats, integers, bits))
    expected.extend((arm, *cells) for arm, cells in arms.items())
    rows = re.findall(r"^\| (?!hidden|arm|---).*\|$", section, re.MULTILINE)
    assert rows == [f"| {' | '.join(cells)} |" for cells in expected]


@pytest.mark.parametrize("name", STUDIES)
def test_summaries_are_of_the_runs(name):
    study = RESULTS[name]
    assert study["summary"] == summarise(study["runs"], next(iter(study["arms"])))


@pytest.mark.parametrize("name", shipped_checkpoints())
def test_nets_by_name_are_runs_of_the_tables(name):
    net = load_checkpoint(name)
    runs = RESULTS[f"accuracy_{net.recipe.dataset}.json"]["runs"]
    run = next(run for run in runs if run["checkpoint_sha256"] == net.sha256)
    assert (run["seed"], run["weights"], run["arm"]) == (0, net.net.config.weight_format, "")
    assert (run["float_accuracy"], run["test_images"]) == (net.test_accuracy, net.test_images)
