"""What holds for the project as a whole: its lists agree, its import is inert, its wheel is complete."""

import ast
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import numpy
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import pysklnb

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / "environment.yml"

# The rooms of the package: each imports only from those before it. The only place where the order is written.
ROOMS = (
    "sources",
    "idioms",
    "reader",
    "writer",
    "layouts",
    "cards",
    "description",
    "dataset",
    "samples",
    "measures",
    "compression",
    "kpfiles",
    "report",
    "validation",
    "drawing",
    "__init__",
    "__main__",
)


def read_toml():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirements_of_the_tool_set():
    """What `make` installs: the required packages and the extra `dev`, with the extras it names in turn."""
    project = read_toml()["project"]
    found, waiting = [], [*project["dependencies"], "pysklnb[dev]"]
    while waiting:
        requirement = Requirement(waiting.pop())
        if requirement.name != "pysklnb":
            found.append(requirement)
        for extra in requirement.extras:
            waiting += project["optional-dependencies"][extra]
    return found


# --- lists that must agree


def test_environment_yml_names_what_pyproject_names():
    lines = re.findall(r"^  - (\S+)", ENVIRONMENT.read_text(encoding="utf-8"), re.MULTILINE)
    _, python, *names = (line for line in lines if line not in ("pip", "pip:"))
    assert sorted(names) == sorted(map(str, requirements_of_the_tool_set()))
    assert python.removeprefix("python=") in SpecifierSet(read_toml()["project"]["requires-python"])


def test_environment_yml_installs_the_checkout_itself():
    assert ENVIRONMENT.read_text(encoding="utf-8").endswith("  - pip:\n      - -e .\n")


def test_the_lock_pins_the_whole_tool_set_within_its_ranges():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines]
    for requirement in requirements_of_the_tool_set():
        versions = [next(iter(pin.specifier)).version for pin in pins if pin.name == requirement.name]
        assert versions, f"{requirement.name} is not in constraints.txt: run `make lock`"
        assert all(version in requirement.specifier for version in versions), requirement.name


def test_the_lock_holds_exact_versions_and_no_addresses():
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert re.fullmatch(r"[a-z0-9-]+==[\w.+]+( ; .*)?", line), line
        assert "://" not in line


def test_the_version_is_the_same_wherever_it_is_written():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", citation, re.MULTILINE).group(1) == pysklnb.__version__


# --- the package


def test_the_public_surface_is_what_the_package_promises():
    errors = ["FormatError", "UnsafePickleError"]
    names = ["catalog", "compress", "decompress", "find", "layouts", "load", "plot", "quality", "sample", "save"]
    assert sorted(pysklnb.__all__) == sorted(["Dataset", "KpfileStore", *errors, *names, "validate", "write_kpfiles"])
    assert all(hasattr(pysklnb, name) for name in pysklnb.__all__)


# Python opens the modules' files while it imports them; nothing else may be opened, mapped, reached or run.
WATCH_THE_IMPORT = """
import sys, numpy
modules, seen = set(sys.modules), []
def watch(event, arguments):
    if event == "open" and not str(arguments[0]).endswith((".py", ".pyc")):
        seen.append(f"open {arguments[0]}")
    elif event.startswith(("mmap.", "os.system", "socket.", "subprocess.")):
        seen.append(event)
sys.addaudithook(watch)
import pysklnb
new = {name.split(".")[0] for name in set(sys.modules) - modules}
print(sorted(new - {"numpy"} - set(sys.stdlib_module_names)), seen)
"""


def test_the_import_brings_in_numpy_only_and_touches_nothing():
    printed = subprocess.check_output([sys.executable, "-c", WATCH_THE_IMPORT], text=True)
    assert printed == "['pysklnb'] []\n"


def rooms_imported_by(source):
    """Name the rooms that a module imports anywhere in its text, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = f"{'pysklnb' if node.level else ''}.{node.module or ''}".strip(".")
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for package, *rest in (name.split(".") for name in names):
            if package == "pysklnb":
                # What is not a room of its own comes out of the package's front door.
                found.add(rest[0] if rest and rest[0] in ROOMS else "__init__")
    return found


@pytest.mark.parametrize(
    ("source", "rooms"),
    [
        ("import numpy\nfrom pathlib import Path", set()),
        ("from .reader import FormatError", {"reader"}),
        ("from . import layouts, cards", {"layouts", "cards"}),
        ("from . import drawing as plot", {"drawing"}),
        ("from . import load", {"__init__"}),
        ("import pysklnb", {"__init__"}),
        ("import pysklnb.reader", {"reader"}),
        ("from pysklnb.reader import read", {"reader"}),
        ("from pysklnb import samples", {"samples"}),
        ("def late():\n    from .dataset import load", {"dataset"}),
    ],
)
def test_every_form_of_import_is_recognised(source, rooms):
    assert rooms_imported_by(source) == rooms


def test_every_module_is_a_room():
    assert {path.stem for path in (ROOT / "pysklnb").glob("*.py")} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_rooms_before_it(room):
    imported = rooms_imported_by((ROOT / "pysklnb" / f"{room}.py").read_text(encoding="utf-8"))
    assert imported <= set(ROOMS[: ROOMS.index(room)])


# --- the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_carries_every_file_of_the_package_and_nothing_else(wheel):
    package = ROOT / "pysklnb"
    files = (path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc")
    expected = {path.relative_to(ROOT).as_posix() for path in files}
    carried = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert carried == expected
    assert {"pysklnb/py.typed", "pysklnb/data/labels/ntu120.txt"} <= carried


def test_the_wheel_in_an_empty_environment_opens_a_sample(wheel, tmp_path):
    venv.create(tmp_path / "env", symlinks=True)
    python = tmp_path / "env" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index"]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    # Opening needs nothing but numpy: lend it ours, so that the test needs no network.
    site = next((tmp_path / "env").glob("lib/python*/site-packages"))
    for folder in Path(numpy.__file__).parents[1].glob("numpy*"):
        (site / folder.name).symlink_to(folder)

    code = (
        "import pysklnb; print(pysklnb.__file__, len(pysklnb.load(pysklnb.sample('ntu60_hrnet'))),"
        "len(pysklnb.catalog['gym_hrnet'].class_names))"
    )
    printed = subprocess.check_output([python, "-I", "-c", code], cwd=tmp_path, text=True)
    file, clips, classes = printed.split()
    assert Path(file).is_relative_to(site)
    assert int(clips) > 0
    assert int(classes) == 99
