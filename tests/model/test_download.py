"""Download, checksum and extraction, over file:// addresses."""

import hashlib
import io
import tarfile

import pytest

from s2nn.hw.spec.errors import DataError
from s2nn.model import data_download
from s2nn.model.data_download import REMOTE, RemoteFile, download, fetch


def remote(path, **options):
    return RemoteFile(url=path.as_uri(), md5=hashlib.md5(path.read_bytes()).hexdigest(), **options)


def make_tar(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def test_a_file_with_the_right_digest_arrives_and_is_not_fetched_again(tmp_path):
    source, seen = tmp_path / "a.gz", []
    source.write_bytes(b"x" * 100_000)
    target = tmp_path / "out"
    wanted = remote(source)
    assert fetch(wanted, target, progress=lambda name, size: seen.append((name, size))) == [target / "a.gz"]
    assert (target / "a.gz").read_bytes() == source.read_bytes() and seen[-1] == ("a.gz", 100_000)
    source.unlink()
    assert fetch(wanted, target) == [target / "a.gz"]


def test_a_wrong_digest_leaves_nothing_behind(tmp_path):
    source = tmp_path / "a.gz"
    source.write_bytes(b"good")
    wanted = remote(source)
    source.write_bytes(b"evil")
    with pytest.raises(DataError, match=f"a.gz: must have MD5 {wanted.md5}, not"):
        fetch(wanted, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unreachable_address_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="must be reachable"):
        fetch(RemoteFile(url=(tmp_path / "none").as_uri(), md5=""), tmp_path)


def test_members_are_taken_by_file_name_and_no_path_is_followed(tmp_path):
    source, folder = tmp_path / "c.tar.gz", tmp_path / "out"
    make_tar(source, {"deep/one.bin": b"1", "../two.bin": b"2", "../../evil.bin": b"3"})
    fetch(remote(source, members=("one.bin", "two.bin")), folder)
    assert sorted(path.name for path in folder.iterdir()) == ["one.bin", "two.bin"]
    assert (folder / "two.bin").read_bytes() == b"2" and not (tmp_path / "two.bin").exists()


@pytest.mark.parametrize(("broken", "text"), [(True, "must be a tar archive"), (False, "missing two.bin")])
def test_bad_archives_are_refused(tmp_path, broken, text):
    source, folder = tmp_path / "c.tar.gz", tmp_path / "out"
    make_tar(source, {"one.bin": b"1"})
    if broken:
        source.write_bytes(b"no tar at all")
    with pytest.raises(DataError, match=text):
        fetch(remote(source, members=("one.bin", "two.bin")), folder)
    assert not folder.exists()


def test_download_fills_the_folder_that_load_dataset_reads(tmp_path, monkeypatch):
    source = tmp_path / "train.gz"
    source.write_bytes(b"data")
    monkeypatch.setitem(data_download.REMOTE, "mnist", (remote(source),))
    assert download("mnist", tmp_path / "root") == tmp_path / "root" / "mnist"
    assert (tmp_path / "root" / "mnist" / "train.gz").read_bytes() == b"data"
    with pytest.raises(DataError, match="must be one of mnist, fashion_mnist, cifar10, not 'digits'"):
        download("digits", tmp_path)


def test_the_table_names_every_file_with_an_md5():
    files = [file for entry in REMOTE.values() for file in entry]
    assert len(files) == 9 and all(len(file.md5) == 32 for file in files)
    assert [f.name for f in REMOTE["mnist"]] == ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
                                                  "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"]
