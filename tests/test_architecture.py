"""The table of rooms in docs/architecture.md is the architecture: imports are held against it, both ways."""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "spinelift"
TRAINING = {"torch", "torchvision", "timm", "monai", "lightning", "safetensors", "onnxscript"}
HEAVY = ("torch", "numba", "zarr", "matplotlib", "trimesh", "timm", "monai", "safetensors", "myo_sim", "onnx")


def table() -> dict[str, set[str]]:
    """Room → rooms that it may import, in the order of the rows."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*\|([^|]*)\|$", text, re.MULTILINE)
    return {room: {name.strip() for name in names.split(",") if name.strip()} for room, names in rows}


@cache
def modules() -> dict[str, Path]:
    """Dotted name → file, of every module of the package."""
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


@cache
def imported(file: Path) -> set[str]:
    """Absolute names of what a file imports anywhere in it, inside functions and for types too."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.relative_to(ROOT)}: imports are absolute"
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@cache
def graph() -> dict[str, set[str]]:
    """Module → modules of the package that it imports; a package stands for its ``__init__``."""
    known = modules()
    edges = {}
    for name, file in known.items():
        targets = {target for target in imported(file) if target in known and target != name}
        # ``from a.b import c`` of a module c names a.b too, though nothing of its ``__init__`` is used.
        parents = {t.rpartition(".")[0] for t in targets}
        uses = {t for t in targets if t not in parents or _names_of(file, t)}
        edges[name] = uses - {"spinelift"}
    edges.pop("spinelift")
    return edges


def _names_of(file: Path, package: str) -> bool:
    """Whether a file takes names from a package's own ``__init__``, not only modules below it."""
    known = modules()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == package:
            return any(f"{package}.{alias.name}" not in known for alias in node.names)
    return False


def room_of(module: str) -> str:
    return module.split(".")[1]


def test_rooms_are_folders_and_the_table_names_each_one():
    rooms = {room_of(name) for name in modules() if name != "spinelift"}
    assert rooms == set(table())


def test_every_row_names_only_rooms_above_it():
    seen: set[str] = set()
    for room, names in table().items():
        assert names <= seen, f"{room} names {names - seen}, which stand below it"
        seen.add(room)


def test_imports_are_those_of_the_table_no_more_and_no_fewer():
    used = defaultdict(set)
    for module, targets in graph().items():
        used[room_of(module)] |= {room_of(target) for target in targets} - {room_of(module)}
    assert {room: sorted(used[room]) for room in table()} == {r: sorted(n) for r, n in table().items()}


def test_no_circle_of_files():
    try:
        list(TopologicalSorter(graph()).static_order())
    except CycleError as error:
        pytest.fail(" imports ".join(error.args[1]))


def test_no_circle_of_folders():
    folders = defaultdict(set)
    for module, targets in graph().items():
        here = module.rpartition(".")[0]
        for target in targets:
            there = target.rpartition(".")[0]
            if there != here and not there.startswith(f"{here}.") and not here.startswith(f"{there}."):
                folders[here].add(there)
    list(TopologicalSorter(folders).static_order())  # raises on a circle


def test_torch_is_imported_under_learn_alone():
    outside = {
        name
        for name, file in modules().items()
        if not name.startswith("spinelift.learn") and {m.split(".")[0] for m in imported(file)} & TRAINING
    }
    assert outside == set()


@pytest.mark.parametrize("module", ["spinelift.inference", "spinelift.io", "spinelift.curves"])
def test_prediction_stays_free_of_what_is_heavy(module):
    code = f"import sys, {module}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_no_room_is_a_drawer_for_all_sorts():
    names = {name.rpartition(".")[2] for name in modules()}
    assert not names & {"utils", "helpers", "misc", "common"}
