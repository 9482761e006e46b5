"""What is installed is what is in the tree: packages, data files, names; an editable installation would hide a gap."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HOUSES = ("model", "hw", "tools")  # the folders that become s2nn.model, s2nn.hw, s2nn.tools
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]

# Files of the houses that serve the clone and not the installed package.
NOT_INSTALLED = {"tools/setup_environment.sh"}


def tracked_files() -> list[Path]:
    """Files that belong to the project: what git tracks or would; in an unpacked archive, all files but products."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        listing = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                                 capture_output=True, text=True, check=True).stdout
        return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]
    products = {".venv", "build", "__pycache__"}

    def is_product(part: str) -> bool:
        return part in products or part.endswith((".egg-info", "_cache"))

    return [path for path in ROOT.rglob("*")
            if path.is_file() and not any(map(is_product, path.relative_to(ROOT).parts))]


def package_of(path: Path) -> str:
    """Import name of the package that a file's folder is, or of the nearest package above it."""
    folder = path.parent
    while not (folder / "__init__.py").is_file():
        folder = folder.parent
    return ".".join(("s2nn", *folder.relative_to(ROOT).parts))


def data_files() -> list[Path]:
    """Tracked files in the houses that are not Python."""
    return [path for path in tracked_files() if path.relative_to(ROOT).parts[0] in HOUSES and path.suffix != ".py"
            and path.relative_to(ROOT).as_posix() not in NOT_INSTALLED]


def test_packages_list_equals_the_init_files():
    found = {package_of(path) for path in tracked_files()
             if path.name == "__init__.py" and path.relative_to(ROOT).parts[0] in HOUSES}
    assert sorted(SETUPTOOLS["packages"]) == sorted(found)
    assert not (ROOT / "__init__.py").exists(), "s2nn is a namespace package"


def test_each_python_file_lies_in_a_listed_package():
    for path in tracked_files():
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in HOUSES:
            assert (path.parent / "__init__.py").is_file(), f"{path.relative_to(ROOT)} would not be installed"


def test_each_data_file_is_covered_by_package_data():
    covered = {
        path
        for package, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")[1:]).glob(pattern)
    }
    missing = [str(path.relative_to(ROOT)) for path in data_files() if path not in covered]
    assert not missing, f"not in [tool.setuptools.package-data]: {missing}"


def test_package_data_names_listed_packages():
    assert set(SETUPTOOLS["package-data"]) <= set(SETUPTOOLS["packages"])


@pytest.mark.parametrize("pattern", [
    r"/(?:work|root|home|Users)/\w",      # folders of one machine
    r"/tmp/[\w.]",                        # scratch files of one machine
    r"file:///",                          # a local package mirror
    r"[\w.-]+\.(?:pypi|pythonhosted|npmjs)\.org|pypi\.org",  # a registry's host
])
def test_no_file_names_a_machine_or_a_registry(pattern: str):
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a checkpoint or an image
        if path != Path(__file__).resolve():
            found += [f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
                      for number, line in enumerate(text.splitlines(), 1) if re.search(pattern, line)]
    assert not found, "\n".join(found)


def test_dependencies_are_pinned_by_the_constraints():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    pins = (ROOT / "constraints.txt").read_text().split()

    def name_of(requirement: str) -> str:
        return re.sub(r"[-_.]+", "-", re.split(r"[\[=<>~! ]", requirement)[0]).lower()

    assert {name_of(requirement) for requirement in requirements} <= {name_of(pin) for pin in pins}


@pytest.mark.slow
def test_the_wheel_holds_every_file(tmp_path):
    # Built from a copy: setuptools leaves build folders beside the sources.
    copy = tmp_path / "source"
    for path in tracked_files():
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(copy)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("s2nn-*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    expected = {f"s2nn/{path.relative_to(ROOT).as_posix()}" for path in tracked_files()
                if path.relative_to(ROOT).parts[0] in HOUSES and path.suffix == ".py"}
    expected |= {f"s2nn/{path.relative_to(ROOT).as_posix()}" for path in data_files()}
    assert expected <= inside, f"missing from the wheel: {sorted(expected - inside)}"
