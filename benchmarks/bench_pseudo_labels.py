"""The pseudo-label loop on simulated people of whom 5 % are labelled, beside 5 % and all labels alone.

Run: python benchmarks/bench_pseudo_labels.py LABELLED UNLABELLED UNSEEN OUT [STEPS]

The three are stores of ``spinelift simulate training --whole-body``; the masks of UNLABELLED are hidden from
the loop, and are what a simulated person paints. Everything goes on from the loop's first round, for as many
steps. Resumable.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from spinelift.evaluate.bootstrap import mean_estimate, resample_counts
from spinelift.learn.loop.checkpoint import CHECKPOINT, WEIGHTS
from spinelift.learn.pseudo_labels.config import PseudoLabelConfig
from spinelift.learn.pseudo_labels.labels import Labels, Source, dice, propose
from spinelift.learn.pseudo_labels.review import DONE, mask_name, waiting
from spinelift.learn.pseudo_labels.rounds import LoopData, run_loop
from spinelift.learn.segmenter.config import SegmenterConfig
from spinelift.learn.segmenter.train import fit_segmenter, load_segmenter
from spinelift.store.memory import Scans
from spinelift.store.rows import load_scans

ROUNDS, PAINTED = 5, 5
SEGMENTER = {
    "network": {"channels": [8, 16, 32, 64], "residual_units": 0},
    "augment": {"curve": 0, "field": 0, "blur": 0, "patches": 0},
    "window": {},
    "loss": {"heat": 0.2, "heat_weight": 4.0},
    "optim": {"rate": 3e-3, "weight_decay": 0.01},
    "loop": {
        "seed": 1, "batch": 4, "ema": 0.98, "validate_every": 10_000, "validate_limit": 8, "log_every": 20,
        "threads": 1,
    },
}  # fmt: skip


def config(steps: int) -> SegmenterConfig:
    document = {**SEGMENTER, "loop": {**SEGMENTER["loop"], "steps": steps}}
    return SegmenterConfig.model_validate(document)


def train(name: str, train_on: Scans, unseen: Scans, out: Path, steps: int, init: Path) -> Path:
    """A run without the loop."""
    settings = config(steps).model_copy(update={"init_from": str(init)})
    resume = (out / name / CHECKPOINT).exists()
    fit_segmenter(settings, train_on, unseen, data=[], out=out / name, resume=resume)
    return out / name


def score(run: Path, unseen: Scans) -> dict[str, object]:
    """Figures on unseen people."""
    model, _ = load_segmenter(run)
    seen = propose(model, unseen.image)
    found = [dice(a, b) for a, b in zip(seen.mask, unseen.mask, strict=True)]
    mean = mean_estimate(np.array(found), resample_counts(len(found)))
    ends = np.linalg.norm(seen.ends - unseen.ends, axis=-1) * 2.4
    return {
        "dice": round(mean.value, 4), "dice_95": [round(mean.low, 4), round(mean.high, 4)],
        "ends_median_mm": round(float(np.median(ends)), 2), "found": round(float(seen.found.mean()), 3),
    }  # fmt: skip


def tell(table: dict[str, dict[str, object]], out: Path) -> None:
    """Print and keep what is known so far."""
    (out / "table.json").write_text(json.dumps(table, indent=1) + "\n")
    for name, row in table.items():
        print(f"{name:28s}", *(f"{k} {v}" for k, v in row.items()), sep="  ", flush=True)


def main() -> None:
    labelled, hidden, unseen = (load_scans([Path(p)]) for p in sys.argv[1:4])
    out, steps = Path(sys.argv[4]), int(sys.argv[5]) if len(sys.argv) > 5 else 900
    blind = Scans(hidden.image, 0 * hidden.mask, 0 * hidden.ends, hidden.eid)
    loop = PseudoLabelConfig(
        segmenter=config(steps), first_round=1, rounds=ROUNDS, review=PAINTED, min_confidence=0.2,
        min_agreement=0.85, max_ends_apart_mm=10.0,
    )  # fmt: skip
    data = LoopData(blind, labelled, unseen)

    def person(folder: Path) -> None:
        for row in waiting(folder):
            path = folder / DONE / mask_name(row, int(hidden.eid[row]))
            Image.fromarray(hidden.mask[row] * np.uint8(255)).save(path)

    table: dict[str, dict[str, object]] = {}
    for name, painter in (("loop_alone", None), ("loop_with_person", person)):
        first = out / "loop_alone" / "round-01"
        if (
            name != "loop_alone" and not (out / name).exists()
        ):  # the first round is the same: its training too
            (out / name / "round-01").mkdir(parents=True)
            shutil.copytree(first / "run", out / name / "round-01" / "run")
        resume = (out / name / "state.json").exists()
        outcome = run_loop(loop, data, out / name, resume=resume, person=painter)
        assert outcome.run is not None
        labels = Labels.load(outcome.run.parent / "labels.npz")
        sure = labels.rows(Source.ACCEPTED)
        pseudo = [dice(labels.mask[k], hidden.mask[k]) for k in sure]
        table[name] = {
            **score(outcome.run, unseen), "rounds": len(outcome.rounds), "stopped": outcome.stopped,
            "accepted": len(sure), "by_hand": len(labels.rows(Source.HAND)),
            "dice_of_accepted": round(float(np.mean(pseudo)), 4) if pseudo else None,
            "worst_accepted": round(float(np.min(pseudo)), 4) if pseudo else None,
        }  # fmt: skip
    tell(table, out)
    table["5 % after the first round"] = score(first / "run", unseen)
    more = steps * (ROUNDS - 1)
    start = first / "run" / WEIGHTS
    table["5 %, as many steps"] = score(train("few", labelled, unseen, out, more, start), unseen)
    tell(table, out)
    whole = Scans.join([labelled, hidden])
    table["all labels, as many steps"] = score(train("all", whole, unseen, out, more, start), unseen)
    tell(table, out)


if __name__ == "__main__":
    main()
