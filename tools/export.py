"""Programs to folders of files and back: `image.bin` for the accelerator, `image.hex` for `$readmemh`, `manifest.json`.

A folder is trusted only as a whole: what is loaded was repacked and compared with the bytes on disk, and the manifest
was rebuilt from it and compared with the stated one.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s2nn.hw.spec.atomic import write_bytes_atomic, write_json_atomic, write_text_atomic
from s2nn.hw.spec.build import LayerNames, build_image, recover_program
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.errors import ImageFormatError, LoweringError
from s2nn.hw.spec.image import MemoryImage, parse_image
from s2nn.hw.spec.program import Program
from s2nn.hw.spec.schedule import Schedule
from s2nn.tools.manifest import Manifest, describe_export, difference

IMAGE_FILE = "image.bin"
HEX_FILE = "image.hex"
MANIFEST_FILE = "manifest.json"


def export_program(folder: Path, program: Program, config: AcceleratorConfig, *,
                   schedule: Schedule | None = None,
                   provenance: Mapping[str, Any] | None = None) -> tuple[MemoryImage, Manifest]:
    """Pack a program into a folder, which is created.

    Each file is moved into place whole, the manifest last: an interrupted export leaves the old files behind, or what
    `load_export` refuses.

    Raises `LoweringError` if the configuration cannot hold the program.
    """
    image = build_image(config, program, schedule)
    manifest = describe_export(config, program, image, schedule=schedule, provenance=provenance)
    data = image.to_bytes()
    write_bytes_atomic(folder / IMAGE_FILE, data)
    write_text_atomic(folder / HEX_FILE, to_hex(data, word_bytes=config.axi_bytes))
    write_json_atomic(folder / MANIFEST_FILE, manifest.to_json())
    return image, manifest


def to_hex(data: bytes, *, word_bytes: int) -> str:
    """One word per line, most significant digit first, as `$readmemh` takes it; bytes are little-endian in a word.

    >>> to_hex(bytes([1, 2, 3, 4]), word_bytes=2)
    '0201\\n0403\\n'
    """
    words = (data[i:i + word_bytes] for i in range(0, len(data), word_bytes))
    return "".join(f"{int.from_bytes(word, 'little'):0{2 * word_bytes}x}\n" for word in words)


def load_export(folder: Path, config: AcceleratorConfig | None = None) -> tuple[Program, MemoryImage, Manifest]:
    """The program that an exported folder holds, recovered from the bytes that the accelerator reads.

    config : the accelerator that shall run it; None takes the one that the manifest states.

    Raises `ImageFormatError` for a missing file, a wrong magic, version or digest, truncated or overlapping sections,
    damaged bytes, and a manifest that does not belong to the image.
    """
    manifest_path, image_path = folder / MANIFEST_FILE, folder / IMAGE_FILE
    manifest = _read_manifest(manifest_path)
    stated = manifest.accelerator_config(source=manifest_path)
    if config is not None and stated.digest != config.digest:
        raise ImageFormatError(f"must be {config.digest.hex()}, that of configuration {config.name}",
                               value=manifest.config_digest, field="config_digest", source=manifest_path)
    data = _read(image_path)
    image = parse_image(data, config=stated, source=image_path)
    program = _recover(stated, image, manifest, image_path)
    schedule = manifest.run_schedule(source=manifest_path)
    try:
        packed = build_image(stated, program, schedule).to_bytes()
    except LoweringError as error:
        raise ImageFormatError(f"must be a schedule that the program can run under ({error})", field="schedule",
                               source=manifest_path) from error
    if packed != data:
        raise ImageFormatError("must be what its program packs to, byte by byte", source=image_path)
    field = difference(manifest, describe_export(stated, program, image, schedule=schedule))
    if field is not None:
        raise ImageFormatError(f"must belong to {image_path.name}", field=field, source=manifest_path)
    return program, image, manifest


def _recover(config: AcceleratorConfig, image: MemoryImage, manifest: Manifest, source: Path) -> Program:
    try:
        return recover_program(
            config, image, name=manifest.net, spike_input=manifest.spike_input,
            in_shape=manifest.layers[0].in_shape if manifest.layers else (0, 0, 0),
            layers=[LayerNames(name=layer.name, source=layer.source, residual=layer.residual, c_out=layer.out_shape[0])
                    for layer in manifest.layers],
            logit_scale=float(manifest.layers[-1].logit_scale) if manifest.layers else 1.0)
    except ImageFormatError:
        raise
    except (LoweringError, ValueError, TypeError, IndexError) as error:  # sizes and types that do not belong together
        raise ImageFormatError(f"must hold the layers of the manifest ({error})", source=source) from error


def _read_manifest(path: Path) -> Manifest:
    try:
        document = json.loads(_read(path))
    except ValueError as error:
        raise ImageFormatError(f"must be JSON ({error})", source=path) from error
    return Manifest.from_json(document, source=path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageFormatError(f"must be a readable file ({error.strerror})", source=path) from error
