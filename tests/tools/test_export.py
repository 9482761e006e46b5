"""Exported folders: what is packed comes back bit for bit, and whatever does not belong together is refused."""

import json
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest

from s2nn.hw.sim import functional
from s2nn.hw.sim.random_program import RandomConv, random_images, random_program
from s2nn.hw.spec.build import build_image
from s2nn.hw.spec.config import ASIC, PRESETS, SMALL, TINY, ULX3S
from s2nn.hw.spec.errors import ImageFormatError, LoweringError
from s2nn.hw.spec.image import SectionKind, parse_image
from s2nn.tools.export import HEX_FILE, IMAGE_FILE, MANIFEST_FILE, export_program, load_export, to_hex
from s2nn.tools.manifest import document_sha256

# The header as documented in hw/spec/image.py: bytes, position of the CRC, table entry.
HEADER_BYTES, CRC_AT, ENTRY = 64, 16, struct.Struct("<HHIQQ")


def small_program(config=TINY, *, eta=4, seed=1, planes=2):
    layers = [RandomConv(channels=5, planes=planes), RandomConv(channels=6, eta=eta, pool=True, soft_reset=True)]
    return random_program(seed, config, in_shape=(1, 5, 6), layers=layers, classes=3, steps=5, classifier_planes=planes,
                          name="net")


@pytest.fixture
def folder(tmp_path):
    export_program(tmp_path, small_program(), TINY, provenance={"checkpoint": "none"})
    return tmp_path


@pytest.mark.parametrize(("preset", "eta"), [(name, eta) for name, config in PRESETS.items()
                                             for eta in (None, *range(2, config.index_bits + 1))])
def test_a_program_comes_back_from_its_bytes(tmp_path, preset, eta):
    config = PRESETS[preset].as_binary() if eta is None else PRESETS[preset]
    program = small_program(config, eta=eta)
    export_program(tmp_path, program, config)
    loaded, image, manifest = load_export(tmp_path, config)
    for one, two in zip(program.layers, loaded.layers, strict=True):
        np.testing.assert_array_equal(one.weights.symbols, two.weights.symbols)
        np.testing.assert_array_equal(one.weights.groups(), two.weights.groups())
        for name in ("threshold", "bias", "negate"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        assert replace(two, weights=one.weights, threshold=one.threshold, bias=one.bias, negate=one.negate) == one
    images = random_images(2, program.in_shape, 2)
    assert functional.run(loaded, images).logits.tolist() == functional.run(program, images).logits.tolist()
    assert image == build_image(config, program)
    assert manifest.net == "net"


def test_the_hex_file_holds_the_image_word_by_word(folder):
    data = (folder / IMAGE_FILE).read_bytes()
    words = (folder / HEX_FILE).read_text().split()
    assert {len(word) for word in words} == {2 * TINY.axi_bytes}
    assert b"".join(int(word, 16).to_bytes(TINY.axi_bytes, "little") for word in words) == data
    assert to_hex(bytes(range(8)), word_bytes=4) == "03020100\n07060504\n"


def test_the_manifest_says_what_is_stored(folder):
    document = json.loads((folder / MANIFEST_FILE).read_text())
    data = (folder / IMAGE_FILE).read_bytes()
    assert sum(document["sizes"].values()) == document["image_bytes"] == len(data)
    for section in document["sections"]:
        assert section["offset"] % 64 == 0
        assert section["padding_bytes"] < 64
    hidden = document["layers"][1]
    assert (hidden["reset"], hidden["weight_format"], hidden["symbol_bits"]) == ("soft", "codebook", 4)
    assert hidden["weights"] == 6 * 5 * 9
    # 5 groups of 4 bits for 4 lanes are 80 bits, three beats of 32 bits; two tiles.
    assert hidden["index_bytes"] == 2 * 12
    assert hidden["index_padding_bytes"] == 2 * 12 - 6 * 5 * 4 // 8
    assert hidden["codebook_bytes"] == 16 * 2
    assert document["bits_per_weight"]["hidden"] == pytest.approx(4 / 9)
    assert hidden["stored_bits_per_weight"] == pytest.approx(8 * (24 + 32) / 270)
    # The classifier reads a 2x3 map with a 3x3 kernel: the taps beyond the map are stored but are no weights.
    assert document["layers"][2]["weights"] == 3 * 6 * 2 * 3
    assert document["semantics"]["compare"] == "spike if membrane >= threshold"


def test_an_export_leaves_three_files(folder):
    assert sorted(path.name for path in folder.iterdir()) == [IMAGE_FILE, HEX_FILE, MANIFEST_FILE]


def test_a_program_that_the_configuration_cannot_hold_leaves_nothing(tmp_path):
    program = small_program(ULX3S, eta=6)
    with pytest.raises(LoweringError, match="index_bits"):
        export_program(tmp_path / "out", program, TINY)
    assert not (tmp_path / "out").exists()


def refused(folder, match, config=None):
    with pytest.raises(ImageFormatError, match=match):
        load_export(folder, config)


def test_every_flipped_bit_of_header_and_table_is_refused():
    image = build_image(TINY, small_program())
    data = image.to_bytes()
    for position in range(image.offsets()[0]):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            with pytest.raises(ImageFormatError):
                parse_image(bytes(damaged), config=TINY)


def test_every_flipped_byte_behind_the_header_is_refused():
    image = build_image(TINY, small_program())
    data = image.to_bytes()
    for position in range(image.offsets()[0], len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 0x10
        with pytest.raises(ImageFormatError, match=r"CRC-32|SHA-256"):
            parse_image(bytes(damaged), config=TINY)


@pytest.mark.parametrize(("position", "value", "match"), [
    (0, b"X", "magic"), (4, b"\x09", "version"), (8, b"\x00\x00", "header CRC"), (60, b"\x00\x00\x00", "header CRC"),
])
def test_a_damaged_header_is_named(folder, position, value, match):
    data = bytearray((folder / IMAGE_FILE).read_bytes())
    data[position:position + len(value)] = value
    (folder / IMAGE_FILE).write_bytes(data)
    refused(folder, match)


@pytest.mark.parametrize("keep", [0, 1, HEADER_BYTES - 1, HEADER_BYTES, 100, 512, -64, -1])
def test_a_truncated_image_is_refused(folder, keep):
    data = (folder / IMAGE_FILE).read_bytes()
    (folder / IMAGE_FILE).write_bytes(data[:keep])
    refused(folder, "size")


def test_a_longer_image_is_refused(folder):
    (folder / IMAGE_FILE).write_bytes((folder / IMAGE_FILE).read_bytes() + bytes(64))
    refused(folder, "size")


@pytest.mark.parametrize("config", [SMALL, ULX3S, ASIC, TINY.as_binary(), replace(TINY, clock_mhz=99)],
                         ids=lambda config: f"{config.name}-{config.weight_format}-{config.clock_mhz}")
def test_another_configuration_is_refused(folder, config):
    refused(folder, "config_digest", config)


def test_the_name_of_a_configuration_does_not_matter(folder):
    load_export(folder, replace(TINY, name="mine"))


def test_an_image_of_another_configuration_is_refused(folder):
    other = replace(TINY, clock_mhz=99)
    (folder / IMAGE_FILE).write_bytes(build_image(other, small_program()).to_bytes())
    refused(folder, "config digest")


def forge(data: bytes, edit) -> bytes:
    """An image whose table was edited and whose header CRC is right again; edit(entries) changes a list of entries."""
    num_sections = struct.unpack_from("<H", data, 6)[0]
    header_bytes = struct.calcsize("<4sHH8sIIQ32s")
    entries = [list(ENTRY.unpack_from(data, header_bytes + ENTRY.size * i)) for i in range(num_sections)]
    edit(entries, data)
    table = b"".join(ENTRY.pack(*entry) for entry in entries)
    head = bytearray(data[:header_bytes] + table + data[header_bytes + len(table):])
    head[CRC_AT:CRC_AT + 4] = bytes(4)
    table_end = -(-(header_bytes + len(table)) // 64) * 64
    head[CRC_AT:CRC_AT + 4] = zlib.crc32(head[:table_end]).to_bytes(4, "little")
    return bytes(head)


def overlap(entries, data):
    entries[2][3] = entries[1][3]


def swap(entries, data):
    entries[1], entries[2] = entries[2], entries[1]


def misalign(entries, data):
    entries[1][3] += 4


def leave_file(entries, data):
    entries[-1][3] = -(-len(data) // 64) * 64 + 64


def overrun(entries, data):
    entries[-1][4] = len(data)


def unknown_kind(entries, data):
    entries[1][0] = 77


def short_section(entries, data):
    kind, layer, _, offset, size = entries[1]
    entries[1] = [kind, layer, zlib.crc32(data[offset:offset + size - 4]), offset, size - 4]


def renumber(entries, data):
    entries[1][1] = 9


@pytest.mark.parametrize(("edit", "match"), [
    (overlap, "aligned and start at or after"), (swap, "aligned and start at or after"),
    (misalign, "aligned and start at or after"), (leave_file, "must end within"), (overrun, "must end within"),
    (unknown_kind, "known kind"), (short_section, "must"), (renumber, "must"),
], ids=lambda value: getattr(value, "__name__", None))
def test_forged_section_tables_are_refused(folder, edit, match):
    (folder / IMAGE_FILE).write_bytes(forge((folder / IMAGE_FILE).read_bytes(), edit))
    refused(folder, match)


def test_the_forger_changes_nothing_by_itself(folder):
    data = (folder / IMAGE_FILE).read_bytes()
    assert forge(data, lambda entries, data: None) == data


def leaves(value, path=()):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path


def changed(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value[::-1] + "x"
    return "x" if value is None else value + 1


# Fields that only the manifest knows: its names, and what a logit is worth. The document's own digest covers them.
OWN_FIELDS = {"net", "name", "logit_scale"}


def test_every_changed_field_of_the_manifest_is_refused(folder):
    path = folder / MANIFEST_FILE
    document = json.loads(path.read_text())
    for where in leaves(document):
        edited = json.loads(json.dumps(document))
        holder = edited
        for key in where[:-1]:
            holder = holder[key]
        holder[where[-1]] = changed(holder[where[-1]])
        path.write_text(json.dumps(edited))
        refused(folder, "must")
        if where[-1] in OWN_FIELDS or where[0] in ("sha256", "provenance"):
            continue
        edited["sha256"] = document_sha256(edited)  # a careful forger
        path.write_text(json.dumps(edited))
        refused(folder, "must")


@pytest.mark.parametrize(("text", "match"), [
    ("", "must be JSON"), ("[]", "must be a JSON object"), ('{"format": "other"}', "format"), ("\xff", "JSON"),
])
def test_a_manifest_that_is_none_is_refused(folder, text, match):
    (folder / MANIFEST_FILE).write_bytes(text.encode("latin-1"))
    refused(folder, match)


def test_a_missing_field_is_named(folder):
    path = folder / MANIFEST_FILE
    document = json.loads(path.read_text())
    del document["layers"][0]["pad"]
    document["sha256"] = document_sha256(document)
    path.write_text(json.dumps(document))
    refused(folder, r"layers\[0\]: must have exactly the fields of a manifest, not \['pad'\]")


def test_the_manifest_of_another_image_is_refused(folder, tmp_path):
    other = tmp_path / "other"
    export_program(other, small_program(seed=2), TINY)
    (folder / MANIFEST_FILE).write_bytes((other / MANIFEST_FILE).read_bytes())
    refused(folder, "belong")


@pytest.mark.parametrize("name", [IMAGE_FILE, MANIFEST_FILE])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    refused(folder, name)


def test_sections_are_found_by_kind_and_layer():
    image = build_image(TINY, small_program())
    assert image.section(SectionKind.CODEBOOK, 0) is None
    assert image.section(SectionKind.CODEBOOK, 1) is not None
    with pytest.raises(ImageFormatError, match="CODEBOOK"):
        image.offset(SectionKind.CODEBOOK, 0)
