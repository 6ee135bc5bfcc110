"""The wheel holds what the source tree does: packages of three folders, marker files, the database of the demo."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.support.contracts import FOLDERS, ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Names in the wheel, built from a copy: building leaves folders behind in the tree it builds."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    for folder in ("pybpf", "src", "programs"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    pip_wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(out)]
    done = subprocess.run([*pip_wheel, str(tree)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("epicsmon-*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


@pytest.mark.parametrize(("package", "folder"), FOLDERS.items())
def test_every_module_is_in_it(wheel, package, folder):
    base = ROOT / folder
    modules = {str(path.relative_to(base)) for path in base.rglob("*.py")}
    assert modules
    assert {f"{package.replace('.', '/')}/{module}" for module in modules} <= wheel


@pytest.mark.parametrize(
    "name", ["pybpf/py.typed", "epicsmon/py.typed", "epicsmon/demo/demo.db", "pybpf/kernel/_ffi.pyi"]
)
def test_data_files_are_in_it(wheel, name):
    assert name in wheel


def test_no_test_and_no_benchmark_is_in_it(wheel):
    assert {name.split("/")[0] for name in wheel if not name.startswith("epicsmon-")} == {"pybpf", "epicsmon"}
