"""The pseudo-label loop (paper, section 2): a network trained on few labelled scans labels the others.

A round: train on the labelled scans, label the others, accept confident labels, present the most uncertain
ones to a person for correction. The loop stops when the labels no longer change, or after a number of rounds.
``state.json`` is written last in a round; an interrupted loop resumes inside its round.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spinelift.errors import ConfigError
from spinelift.files import make_folder, remove_unfinished, write_csv, write_json
from spinelift.learn.loop.checkpoint import CHECKPOINT, WEIGHTS
from spinelift.learn.loop.train import refuse_second_run
from spinelift.learn.pseudo_labels.config import PseudoLabelConfig
from spinelift.learn.pseudo_labels.labels import Labels, Source, dice, examples, propose
from spinelift.learn.pseudo_labels.review import export, read_corrections, waiting
from spinelift.learn.segmenter.train import fit_segmenter, load_segmenter
from spinelift.store.memory import Scans
from spinelift.store.rows import load_scans

STATE, CONFIG, FIGURES, REVIEW = "state.json", "loop.yaml", "rounds.csv", "review"
HELD_OUT_EVERY = 5
"""Without a validation store, every fifth scan labelled by hand is held out."""
NOTHING_LABELLED = "no scan is labelled yet"
STILL = "labels no longer change"
ROUNDS = "all rounds are done"

Figures = dict[str, float]
"""Numbers of a round, by name."""


class LoopData(NamedTuple):
    """Scans of a loop: those to label, whose masks and ends are not used, and labelled ones.

    ``known`` is None if the first scans are labelled by hand; ``held_out`` are scans to validate on, None for
    some of those labelled by hand.
    """

    scans: Scans
    known: Scans | None
    held_out: Scans | None

    @classmethod
    def load(cls, scans: Sequence[Path], known: Path | None, held_out: Path | None) -> "LoopData":
        """Read stores."""
        labelled = (load_scans([path]) if path else None for path in (known, held_out))
        return cls(load_scans(scans), *labelled)


class LoopOutcome(NamedTuple):
    """Result of a call: ``stopped`` is the reason, ``run`` the training run of the last round or None."""

    stopped: str
    rounds: list[Figures]
    run: Path | None
    waiting: int
    problems: tuple[str, ...]


def run_loop(
    config: PseudoLabelConfig, data: LoopData, out: Path, *, resume: bool = False,
    person: Callable[[Path], None] | None = None,
) -> LoopOutcome:  # fmt: skip
    """Run rounds until nothing changes; ``person`` is called with the review folder after each round.

    A :class:`ConfigError` says that the folder holds a loop over other scans, or any without ``resume``.
    """
    rounds = _start(config, data, out, resume=resume)
    n = len(data.scans)
    labels = Labels.load(_folder(out, len(rounds)) / "labels.npz") if rounds else Labels.none(n)
    while True:
        review = read_corrections(out / REVIEW, n)
        corrected = [c.row for c in review.corrections if labels.correct(c)]
        stopped = _reason(config, data, labels, rounds, corrected)
        if stopped:
            if stopped == NOTHING_LABELLED:
                _ask_first(config, data, labels, out)
            run = _folder(out, len(rounds)) / "run" if rounds else None
            return LoopOutcome(stopped, rounds, run, len(waiting(out / REVIEW)), review.problems)
        before, began = Labels(labels.source.copy(), labels.mask.copy(), labels.ends), time.monotonic()
        folder = _folder(out, len(rounds) + 1)
        figures = {"round": len(rounds) + 1, "corrected": len(corrected)} | _train(
            config, data, labels, folder, _folder(out, len(rounds)) / "run" if rounds else None
        )
        open_rows = np.flatnonzero(labels.source < Source.HAND)
        model, _ = load_segmenter(folder / "run")
        proposals = propose(model, data.scans.image[open_rows])
        labels.propose(open_rows, proposals, config)
        figures |= {s.name.lower(): len(labels.rows(s)) for s in Source} | _changes(before, labels)
        order = open_rows[np.argsort(-proposals.doubt, kind="stable")]
        _present(data, labels, order[labels.source[order] == Source.DOUBTFUL], config.review, out)
        figures |= {"waiting": len(waiting(out / REVIEW)), "seconds": round(time.monotonic() - began, 1)}
        labels.save(folder / "labels.npz")
        rounds.append(figures)
        _save(data, rounds, out)
        if person:
            person(out / REVIEW)


def _reason(
    config: PseudoLabelConfig, data: LoopData, labels: Labels, rounds: list[Figures], corrected: list[int]
) -> str:
    """The reason to stop here; empty to continue."""
    if data.known is None and len(labels.rows(Source.HAND)) < max(2, config.segmenter.loop.batch):
        return NOTHING_LABELLED
    last = rounds[-1] if rounds else None
    if last and len(rounds) > 1 and not corrected and last["unchanged"] >= config.still:
        return STILL
    return ROUNDS if len(rounds) >= config.rounds else ""


def _train(
    config: PseudoLabelConfig, data: LoopData, labels: Labels, folder: Path, last: Path | None
) -> Figures:
    """Train on the labelled scans; returns metrics of the round's network."""
    known = len(data.known) if data.known is not None else 0
    hand = np.concatenate([np.arange(known), known + labels.rows(Source.HAND)])
    sure = known + labels.rows(Source.ACCEPTED)
    scans = Scans(data.scans.image, labels.mask, labels.ends, data.scans.eid)
    scans = scans if data.known is None else Scans.join([data.known, scans])
    held_out = data.held_out
    if held_out is None:
        kept, hand = hand[::HELD_OUT_EVERY], np.delete(hand, np.s_[::HELD_OUT_EVERY])
        held_out = scans.take(kept)
    settings = config.segmenter
    if last is None:
        longer = settings.loop.longer(config.first_round)
        settings = settings.model_copy(update={"loop": longer, "window": None})
    else:
        settings = settings.model_copy(update={"init_from": str(last / WEIGHTS)})
    run = folder / "run"
    outcome = fit_segmenter(
        settings, scans, held_out, out=run, resume=(run / CHECKPOINT).exists(),
        rows=examples(hand, sure, config.hand_share),
    )  # fmt: skip
    return {"trained_by_hand": len(hand), "trained_on_accepted": len(sure), **outcome.validation}


def _changes(before: Labels, now: Labels) -> Figures:
    """Scans newly accepted and withdrawn, and the share of the network's labels that is unchanged.

    This share is the mean Dice of a scan's masks in this round and the last, 0 if only one was accepted.
    """
    was, is_ = before.source == Source.ACCEPTED, now.source == Source.ACCEPTED
    rows = np.flatnonzero((now.source < Source.HAND) & (before.source < Source.HAND))
    kept = [dice(before.mask[k], now.mask[k]) if was[k] == is_[k] else 0.0 for k in rows]
    return {
        "new": int((is_ & ~was).sum()),
        "withdrawn": int((was & ~is_).sum()),
        "unchanged": round(float(np.mean(kept)), 4) if kept else 1.0,
    }


def _ask_first(config: PseudoLabelConfig, data: LoopData, labels: Labels, out: Path) -> None:
    """Nothing is labelled: put evenly chosen scans into the review folder."""
    count = min(len(data.scans), max(config.review, 2 * config.segmenter.loop.batch))
    _present(data, labels, np.linspace(0, len(data.scans) - 1, count).round().astype(int), count, out)


def _present(data: LoopData, labels: Labels, rows: NDArray[np.intp], most: int, out: Path) -> None:
    """Fill the review folder up to ``most`` scans with the first ones of ``rows``."""
    shown = waiting(out / REVIEW)
    for row in [int(r) for r in rows if r not in shown][: max(0, most - len(shown))]:
        export(out / REVIEW, row, int(data.scans.eid[row]), data.scans.image[row], labels.mask[row])


def _folder(out: Path, number: int) -> Path:
    return out / f"round-{number:02d}"


def _start(config: PseudoLabelConfig, data: LoopData, out: Path, *, resume: bool) -> list[Figures]:
    """Figures of the finished rounds of the loop in a folder, which may be new."""
    make_folder(out)
    remove_unfinished(out, *out.glob("round-*"), *(out / REVIEW).glob("*"))
    rounds: list[Figures] = []
    if not (out / STATE).exists():
        _save(data, rounds, out)
    else:
        if not resume:
            refuse_second_run(out / STATE)
        state = json.loads((out / STATE).read_text(encoding="utf-8"))
        if any(state[name] != value for name, value in _identity(data).items()):
            raise ConfigError(
                found=f"a loop over {state['scans']} other scans in {out}",
                expected=f"one over these {len(data.scans)}",
                do="Give the scans that it was started with, or another --out.",
            )
        rounds = state["rounds"]
    config.dump(out / CONFIG)
    return rounds


def _identity(data: LoopData) -> dict[str, int]:
    return {"scans": len(data.scans), "eid_sum": int(data.scans.eid.sum())}


def _save(data: LoopData, rounds: list[Figures], out: Path) -> None:
    """Write the table of metrics, then the state, each completely or not at all."""
    if rounds:
        write_csv(out / FIGURES, list(rounds[0]), [[row[name] for name in rounds[0]] for row in rounds])
    write_json(out / STATE, {"version": 1, **_identity(data), "rounds": rounds})
