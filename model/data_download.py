"""Official downloads of MNIST, Fashion-MNIST and CIFAR-10, for machines with internet.

A file is fetched to a temporary name, its MD5 compared with the official one, and only then moved to its place; a wrong
digest leaves nothing behind. MD5 here guards against damage in transit, which is what its publishers give it for.
"""

import hashlib
import io
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from s2nn.hw.spec.atomic import write_bytes_atomic
from s2nn.hw.spec.errors import DataError

BLOCK_BYTES = 1 << 16
TIMEOUT_S = 60.0
DownloadCallback = Callable[[str, int], None]


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file at `url` with its MD5; `members` are the files to take out of it if it is a tar archive."""

    url: str
    md5: str
    members: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[1]


def _idx_files(base: str, digests: tuple[str, str, str, str]) -> tuple[RemoteFile, ...]:
    names = (f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
    return tuple(RemoteFile(url=f"{base}/{name}", md5=md5) for name, md5 in zip(names, digests, strict=True))


# Ref: MNIST: mirror and MD5 used by torchvision; Fashion-MNIST: table in its README; CIFAR-10: table on its home page.
REMOTE: dict[str, tuple[RemoteFile, ...]] = {
    "mnist": _idx_files("https://ossci-datasets.s3.amazonaws.com/mnist", (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c")),
    "fashion_mnist": _idx_files("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com", (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310")),
    "cifar10": (RemoteFile(url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                           md5="c32a1d4ab5d03f1284b67883e8d87530",
                           members=(*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin")),),
}


def fetch(remote: RemoteFile, folder: Path, *, progress: DownloadCallback | None = None) -> list[Path]:
    """Fetch one file into `folder` unless it is there; returns the paths. Calls `progress(name, bytes so far)`."""
    targets = [folder / name for name in remote.members or (remote.name,)]
    if all(path.is_file() for path in targets):
        return targets
    data, digest = io.BytesIO(), hashlib.md5(usedforsecurity=False)
    try:
        with urllib.request.urlopen(remote.url, timeout=TIMEOUT_S) as response:
            while block := response.read(BLOCK_BYTES):
                data.write(block)
                digest.update(block)
                if progress:
                    progress(remote.name, data.tell())
    except (urllib.error.URLError, OSError) as error:
        raise DataError(f"must be reachable ({error})", source=remote.url) from error
    if digest.hexdigest() != remote.md5:
        raise DataError(f"must have MD5 {remote.md5}", value=digest.hexdigest(), source=remote.url)
    if not remote.members:
        write_bytes_atomic(targets[0], data.getvalue())
        return targets
    return _extract(remote, data, targets)


def _extract(remote: RemoteFile, data: io.BytesIO, targets: list[Path]) -> list[Path]:
    """Take the wanted members out, by file name alone, so that no path in the archive is followed."""
    wanted, contents = {path.name: path for path in targets}, {}
    data.seek(0)
    try:
        with tarfile.open(fileobj=data) as archive:
            for member in archive:
                name = Path(member.name).name
                file = archive.extractfile(member) if name in wanted else None
                if file is not None:
                    contents[name] = file.read()
    except tarfile.TarError as error:
        raise DataError(f"must be a tar archive ({error})", source=remote.url) from error
    if missing := sorted(set(wanted) - set(contents)):
        raise DataError("must hold all its members", value=f"missing {', '.join(missing)}", source=remote.url)
    for name, content in contents.items():
        write_bytes_atomic(wanted[name], content)
    return targets


def download(name: str, root: str | Path, *, progress: DownloadCallback | None = None) -> Path:
    """Download a data set into `<root>/<name>`; returns that folder, which `load_dataset(name, root=root)` reads."""
    if name not in REMOTE:
        raise DataError(f"data set to download must be one of {', '.join(REMOTE)}", value=name)
    folder = Path(root) / name
    for remote in REMOTE[name]:
        fetch(remote, folder, progress=progress)
    return folder
