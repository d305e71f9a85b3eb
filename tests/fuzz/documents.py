"""Bundles, YAML, truth and lists: documents whose every leaf can be anything."""

import io
import json
import shutil
import zipfile
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import yaml
from predict_cases import write_bundle
from tests.fuzz.case import Case
from tests.fuzz.damage import damage, mutate_tree, pick
from truth_cases import column_fields, simulated_truth

from spinelift.bundle import Bundle, PredictionCard, hash_files, load_bundle
from spinelift.cohort.leave import read_withdrawn
from spinelift.config import Config
from spinelift.io.truth import SimulatedTruth, read_truth
from spinelift.learn.aligner.config import AlignerConfig
from spinelift.learn.mri_segmenter.config import MriSegmenterConfig
from spinelift.learn.pseudo_labels.config import PseudoLabelConfig
from spinelift.learn.regressor.config import RegressorConfig
from spinelift.learn.segmenter.config import SegmenterConfig

CONFIGS: dict[str, type[Config]] = {
    "align.yaml": AlignerConfig,
    "mri_segmenter.yaml": MriSegmenterConfig,
    "segmenter.yaml": SegmenterConfig,
    "segmenter_smoke.yaml": SegmenterConfig,
    "default.yaml": RegressorConfig,
    "paper.yaml": RegressorConfig,
    "resnet50.yaml": RegressorConfig,
    "pseudo_labels_smoke.yaml": PseudoLabelConfig,
}
"""Configurations of the package, and what they are read as."""


def finite(value: Any) -> str:
    """Whether every number of a document is finite."""
    if isinstance(value, dict):
        return next(filter(None, map(finite, value.values())), "")
    if isinstance(value, list | tuple):
        return next(filter(None, map(finite, value)), "")
    bad = isinstance(value, float | np.ndarray) and not np.isfinite(value).all()
    return "a number that is not finite" if bad else ""


@cache
def _bundle() -> Path:
    return write_bundle(Path(mkdtemp(prefix="spinelift-fuzz-")) / "bundle")


@cache
def _bundle_files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in _bundle().iterdir()}


def bundle(rng: np.random.Generator, folder: Path) -> Case:
    """A folder or zip of networks, packed in another way, damaged, or with a changed card."""
    files = dict(_bundle_files())
    what = pick(rng, ("same", "network", "card bytes", "card", "card", "missing", "onnx", "zip bytes",
                      "zip bytes", "bomb"))  # fmt: skip
    name = pick(rng, ("segmenter.onnx", "regressor.onnx"))
    match what:
        case "network":
            files[name] = damage(rng, files[name], files["card.json"])
        case "card bytes":
            files["card.json"] = damage(rng, files["card.json"], files[name])
        case "card":
            card = mutate_tree(rng, json.loads(files["card.json"]))
            files["card.json"] = json.dumps(card).encode()
        case "missing":
            del files[pick(rng, list(files))]
        case "onnx":
            files[name] = damage(rng, files[name], files["card.json"])
            (folder / name).write_bytes(files[name])
            card = json.loads(files["card.json"])
            card["files"] |= hash_files(folder, [name])
            files["card.json"] = json.dumps(card).encode()
        case "bomb":
            card = json.loads(files["card.json"]) | {"limits": ["x"]}
            files["card.json"] = json.dumps(card).encode() + b" " * int(rng.integers(1 << 20, 100 << 20))
    path = folder / "bundle.zip"
    if what != "zip bytes" and rng.random() < 0.5 and what != "bomb":
        path = folder / "bundle"
        path.mkdir()
        for key, data in files.items():
            (path / key).write_bytes(data)
    else:
        packed = _zip_of(rng, files)
        path.write_bytes(damage(rng, packed, files[name]) if what == "zip bytes" else packed)
    return Case(f"bundle: {what}", partial(_networks, path, what != "bomb"), _sound_bundle, what == "same")


def _networks(path: Path, run: bool) -> Bundle[PredictionCard]:
    loaded = load_bundle(PredictionCard, path)
    for name in ("segmenter", "regressor") if run else ():
        loaded.network(name, 1)
    return loaded


def _sound_bundle(loaded: Bundle[PredictionCard]) -> str:
    """Hashes cover the networks; of the card only numbers can be judged."""
    return finite(loaded.card.model_dump())


def _zip_of(rng: np.random.Generator, files: dict[str, bytes]) -> bytes:
    stream, names = io.BytesIO(), list(files)
    prefix = pick(rng, ("", "bundle/"))
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for k in rng.permutation(len(names)):
            archive.writestr(prefix + names[k], files[names[k]])
    return stream.getvalue()


def config(rng: np.random.Generator, folder: Path) -> Case:
    """A configuration of training, by any of the classes."""
    packaged = Path(__import__("spinelift").__file__).parent / "configs"
    name = pick(rng, list(CONFIGS))
    kind = CONFIGS[name]
    path = folder / "config.yaml"
    text = (packaged / name).read_text()
    what = pick(rng, ("same", "bytes", "tree", "tree", "tree", "aliases", "nested", "base", "text"))
    match what:
        case "same":
            width, flow = int(rng.integers(20, 200)), bool(rng.integers(2))
            path.write_text(yaml.safe_dump(yaml.safe_load(text), width=width, default_flow_style=flow))
        case "bytes":
            path.write_bytes(damage(rng, text.encode(), text.encode()[::-1]))
        case "tree":
            tree = yaml.safe_load(text)
            for _ in range(int(rng.integers(1, 4))):
                tree = mutate_tree(rng, tree)
            path.write_text(yaml.safe_dump(tree))
        case "aliases":
            width = int(rng.integers(2, 12))
            lines = ["a0: &a0 [x, x]"]
            lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * width)}]" for k in range(1, 30)]
            path.write_text("\n".join([*lines, "optim: *a29"]))
        case "nested":
            path.write_text("loop: " + pick(rng, "[{")[:1] * int(rng.integers(100, 5000)))
        case "base":
            base = pick(rng, (str(path), "config.yaml", "/etc/passwd", "default.yaml", "[1]", "''", "~", "3"))
            path.write_text(f"base: {base}\nloop: {{seed: 1}}\n")
        case "text":
            path.write_text(
                pick(rng, ("", "~", "- 1", "a", "!!python/object:os.system x", "\t", "? ? ?", "&a *a"))
            )
    expected = kind.load(name) if what == "same" else None
    check = partial(_sound_config, expected=expected)
    return Case(f"{name}: {what}", partial(kind.load, path), check, must_read=what == "same")


def _sound_config(found: Config, expected: Config | None) -> str:
    return finite(found.model_dump()) or ("another configuration" if expected not in (None, found) else "")


@cache
def _truth() -> str:
    z = np.linspace(300.0, 800.0, 30)
    fields = column_fields(z, 300 + 5 * np.sin(z / 90))
    moved = {"rotation_deg": 1.0, "dx_mm": 2.0, "dz_mm": 3.0}
    shifted = column_fields(z - 40, 10 + 3 * np.cos(z / 80))
    try:
        return simulated_truth(dxa=fields, mri=shifted, moved=moved).model_dump_json(exclude_none=True)
    except ValueError:
        return simulated_truth(dxa=fields).model_dump_json(exclude_none=True)


def truth(rng: np.random.Generator, folder: Path) -> Case:
    """The truth of a simulated person."""
    path = folder / "1234567_2.json"
    text = _truth()
    what = pick(rng, ("same", "bytes", "tree", "tree", "tree", "constants", "nested"))
    match what:
        case "same":
            text = json.dumps(json.loads(text), indent=int(rng.integers(0, 5)))
        case "tree":
            text = json.dumps(mutate_tree(rng, json.loads(text)))
        case "constants":
            text = text.replace(",", f",{pick(rng, ('NaN', 'Infinity', '1e999', '-1e999', 'null'))},", 1)
        case "nested":
            text = "[" * int(rng.integers(100, 200_000))
    data = text.encode()
    path.write_bytes(damage(rng, data, data[::-1]) if what == "bytes" else data)
    return Case(f"truth: {what}", partial(read_truth, path), _sound_truth, must_read=what == "same")


def _sound_truth(found: SimulatedTruth) -> str:
    again = SimulatedTruth.model_validate_json(found.model_dump_json(exclude_none=True))
    return finite(found.model_dump()) or (
        "" if str(again) == str(found) else "a truth that changes when written"
    )


def withdrawn(rng: np.random.Generator, folder: Path) -> Case:
    """Lists of withdrawn people in the forms that spreadsheets give them, and damaged ones."""
    path = folder / "withdrawn.csv"
    people = sorted({int(v) for v in rng.integers(1_000_000, 7_000_000, int(rng.integers(1, 40)))})
    rows = [str(eid) for eid in people]
    what = pick(rng, ("same", "same", "bytes", "huge", "odd"))
    end, mark = pick(rng, ("\n", "\r\n", "\r")), pick(rng, ("", "", "\ufeff"))
    if what != "odd":
        form = pick(rng, ("plain", "quoted", "table", "float", "spaced"))
        rows = [f'"{r}"' if form == "quoted" else r + ".0" * (form == "float") for r in rows]
        rows = [f" {r} " if form == "spaced" else r for r in rows]
        if form == "table":
            rows = ["name,eid,date", *(f"x,{r},2020-01-01" for r in rows)]
        elif rng.random() < 0.4:
            rows = ["eid", *rows]
        rows += [""] * int(rng.integers(0, 3))
    if what == "huge":
        rows = rows * 2000
    if what == "odd":
        rows = [
            pick(rng, (r, "-" + r, r + "9" * 30, "abc", "", "1e6", "\x00", ";;", "eid", "٣٤")) for r in rows
        ]
    data = (mark + end.join(rows)).encode()
    path.write_bytes(damage(rng, data, data[::-1]) if what == "bytes" else data)
    known = partial(_same_people, expected=set(people)) if what in ("same", "huge") else _are_numbers
    return Case(f"withdrawn: {what}", partial(read_withdrawn, path), known, must_read=what == "same")


def _same_people(found: set[int], expected: set[int]) -> str:
    return "" if found == expected else f"{len(found ^ expected)} people more or less than listed"


def _are_numbers(found: set[int]) -> str:
    return "" if found and all(isinstance(eid, int) for eid in found) else "no set of numbers"


def remove_shared() -> None:
    """Remove the folder of the shared bundle."""
    shutil.rmtree(_bundle().parent, ignore_errors=True)
