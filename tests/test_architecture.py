"""Nothing imports upwards: every import is checked against the table in docs/architecture.md."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "spinelift"
SEGMENT_IN_USE = {"__init__.py", "canonical.py", "postprocess.py", "mri.py"}
COHORT_STORE = {"__init__.py", "store.py"}
HEAVY = ("torch", "numba", "zarr", "matplotlib", "trimesh", "timm", "monai", "safetensors", "myo_sim", "onnx")


def table():
    """Room → rooms that it may import."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.]+)` \|.*\|([^|]*)\|$", text, re.MULTILINE)
    allowed = {room: {name.strip() for name in names.split(",") if name.strip()} for room, names in rows}
    everything = set(allowed)
    return {r: everything - {r} if names == {"everything"} else names for r, names in allowed.items()}


def room_of(file):
    parts = file.relative_to(PACKAGE).parts
    if len(parts) == 1:
        return file.stem
    if parts[0] == "segment" and parts[1] not in SEGMENT_IN_USE:
        return "segment.learn"
    if parts[0] == "cohort" and parts[1] not in COHORT_STORE:
        return "cohort.build"
    return parts[0]


def target_room(module):
    """Room of ``spinelift.a.b``; None for the package itself."""
    parts = module.split(".")[1:]
    if not parts or not any((PACKAGE / name).exists() for name in (parts[0], f"{parts[0]}.py")):
        return None
    if parts[0] == "segment" and len(parts) > 1 and f"{parts[1]}.py" not in SEGMENT_IN_USE:
        return "segment.learn"
    if parts[0] == "cohort" and len(parts) > 1 and f"{parts[1]}.py" not in COHORT_STORE:
        return "cohort.build"
    return parts[0]


def imports(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = node.module == "spinelift"
            yield from (f"spinelift.{a.name}" for a in node.names) if inside else (node.module,)


def sources():
    return [f for f in sorted(PACKAGE.rglob("*.py")) if f.parent != PACKAGE or f.stem != "__init__"]


def test_the_table_names_every_room_and_has_no_circle():
    allowed = table()
    assert {room_of(f) for f in sources()} <= set(allowed)
    assert all(names <= set(allowed) for names in allowed.values())
    list(TopologicalSorter(allowed).static_order())  # raises on a circle


def test_nothing_imports_upwards():
    allowed = table()
    wrong = []
    for file in sources():
        room = room_of(file)
        for module in imports(file):
            target = target_room(module) if module.split(".")[0] == "spinelift" else None
            if target not in (None, room) and target not in allowed[room]:
                wrong.append(f"{file.relative_to(PACKAGE)} ({room}) imports {module}")
    assert wrong == []


@pytest.mark.parametrize("module", ["spinelift.inference.model", "spinelift.io", "spinelift.curves"])
def test_prediction_stays_free_of_what_is_heavy(module):
    code = f"import sys, {module}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_no_room_is_a_drawer_for_all_sorts():
    names = {f.stem for f in sources()}
    assert not names & {"utils", "helpers", "misc", "common"}
