"""All yardsticks of one predictor: report.json, report.md, example pictures, plot of degradation."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.yardsticks.case import YardstickCase, load_cases, save_cases
from benchmarks.yardsticks.ct import ct_cases
from benchmarks.yardsticks.degrade import Step, degrade, plot_steps
from benchmarks.yardsticks.donors import BODIES, donor_cases, unseen
from benchmarks.yardsticks.drawn import drawn_cases
from benchmarks.yardsticks.ends import EndError, Segmenter, end_cases, ends_table, measure_ends
from benchmarks.yardsticks.half_real import half_real_cases
from benchmarks.yardsticks.real_scan import sagittal_distance, scan_case, scan_statistics
from benchmarks.yardsticks.score import Predictor, predict_cases, score_cases
from benchmarks.yardsticks.sheet import draw_sheet
from benchmarks.yardsticks.simulated import simulated_statistics
from spinelift.curves import Curve
from spinelift.errors import ConfigError, SpineliftError
from spinelift.evaluate.table import Row, to_markdown
from spinelift.geometry import SPINE_CROP_ROWS, Spacing
from spinelift.simulate.donors.library import SHIPPED, load_library

Float = NDArray[np.float64]
T = TypeVar("T")
ENDS = 6
TITLES = {
    1: "real CT, projected",
    2: "real vertebrae on real spines",
    3: "another simulator",
    4: "the real scan",
    5: "vertebrae of real people on real spines",
    ENDS: "ends of the spine, as the segmenter finds them",
}
ON_SHEET = 6
"""Cases of each yardstick on the sheet."""


@dataclass(frozen=True)
class Plan:
    """Which yardsticks, from what data, of how many people; cases are cached under ``out / "cases"``.

    ``donors`` are libraries beside the shipped one; cases with vertebrae of ``seen`` people are left out.
    """

    out: Path
    yardsticks: tuple[int, ...] = (1, 2, 3, 4, 5, ENDS)
    centroids: Path | None = None
    scan: Path | None = None
    spacing: Spacing | None = None
    donors: tuple[Path, ...] = ()
    seen: tuple[str, ...] = ()
    example: Path | None = None
    copies: int = 4
    drawn: int = 300
    settings: int = 12
    degrade_people: int = 60


@dataclass
class Report:
    """Metrics by title, yardsticks skipped with the reason, degradation, the real scan, and the ends."""

    figures: dict[str, list[Row]] = field(default_factory=dict)
    skipped: dict[int, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    scan: dict[str, object] = field(default_factory=dict)
    ends: list[EndError] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """Plain lists and numbers."""
        return {
            "yardsticks": {title: [f.to_json() for f in v] for title, v in self.figures.items()},
            "skipped": {TITLES[k]: v for k, v in self.skipped.items()},
            "degraded": [asdict(s) for s in self.steps],
            "real_scan": self.scan,
            "ends": [asdict(e) for e in self.ends],
        }

    def to_markdown(self) -> str:
        """Tables."""
        text = [f"## {title}\n\n{to_markdown(v)}\n" for title, v in self.figures.items()]
        if self.scan:
            text.append(
                f"Real scan, sagittal distance from the prior: {self.scan['sagittal_distance']:.2f}\n"
            )
        if self.ends:
            text.append(f"## {TITLES[ENDS]}\n\n{ends_table(self.ends)}\n")
        text += [f"Skipped: {TITLES[k]}. {why}\n" for k, why in self.skipped.items()]
        return "\n".join(text)


def build_cases(plan: Plan, yardstick: int) -> list[YardstickCase]:
    """Cases of one yardstick, from the cache where it has them.

    Raises
    ------
    SpineliftError
        Its data are missing.
    """
    makers: dict[int, tuple[str, Callable[[], list[YardstickCase]]]] = {
        1: (f"ct-{plan.settings}", lambda: ct_cases(settings=plan.settings)),
        2: (
            f"half-real-{plan.copies}",
            lambda: half_real_cases(_given(plan.centroids, "--centroids"), copies=plan.copies),
        ),
        3: (f"drawn-{plan.drawn}", lambda: drawn_cases(plan.drawn)),
        4: ("scan", lambda: [scan_case(_given(plan.scan, "--scan"), _given(plan.spacing, "--spacing"))]),
        5: (
            "donors" + "".join(f"-{path.stem}" for path in plan.donors),
            lambda: donor_cases(load_library([SHIPPED, *plan.donors]), _given(plan.centroids, "--centroids")),
        ),
    }
    name, make = makers[yardstick]
    cache = plan.out / "cases" / f"{name}.npz"
    if cache.is_file() and yardstick != 4:
        return load_cases(cache)
    cases = make()
    if yardstick != 4:  # the real scan stays where it is
        save_cases(cache, cases)
    return cases


def _given(value: T | None, option: str) -> T:
    if value is None:
        raise ConfigError(found=f"no {option}", expected="the data of this yardstick", do=f"Give {option}.")
    return value


def run_yardsticks(
    plan: Plan,
    predictor: Predictor,
    mean_curves: Float | None,
    *,
    segmenter: Segmenter | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Report:
    """Build, predict, score and write everything; without ``segmenter`` the ends are left out."""
    report, shown = Report(), []
    for k in plan.yardsticks:
        if k == ENDS:
            continue
        try:
            cases = build_cases(plan, k)
        except SpineliftError as problem:
            report.skipped[k] = str(problem)
            log(f"{TITLES[k]}: skipped. {problem}")
            continue
        cases = unseen(cases, plan.seen) if k == 5 and plan.seen else cases
        if not cases:
            report.skipped[k] = "The bundle was trained on all donors."
            log(f"{TITLES[k]}: skipped. {report.skipped[k]}")
            continue
        curves, half = predict_cases(cases, predictor)
        for title, section in _sections(k, cases).items():
            chosen = [cases[i] for i in section]
            report.figures[title] = score_cases(chosen, curves[section], half[section], mean_curves)
        pick = np.linspace(0, len(cases) - 1, min(ON_SHEET, len(cases))).astype(int)
        shown.append(([cases[i] for i in pick], curves[pick]))
        if k == 2 and mean_curves is not None and plan.degrade_people:
            some = cases[:: max(1, len(cases) // plan.degrade_people)]
            report.steps = degrade(some, predictor, mean_curves)
            plot_steps(report.steps, plan.out / "degraded.png")
        if k == 4:
            report.scan = _scan_report(plan, cases[0], curves[0])
        log(f"{TITLES[k]}: {len(cases)} cases")
    if ENDS in plan.yardsticks and segmenter is not None:
        scan = None if plan.scan is None else (plan.scan, _given(plan.spacing, "--spacing"))
        try:
            report.ends = measure_ends(end_cases(scan, plan.example, settings=plan.settings), segmenter)
        except SpineliftError as problem:
            report.skipped[ENDS] = str(problem)
    _write(plan.out, report, shown)
    return report


def _sections(yardstick: int, cases: Sequence[YardstickCase]) -> dict[str, list[int]]:
    """Indices of the cases by the title of their table; yardstick 5 has one for each body."""
    if yardstick != 5:
        return {TITLES[yardstick]: list(range(len(cases)))}
    return {
        f"{TITLES[5]}, the body about {about}": some
        for body, about in BODIES.items()
        if (some := [i for i, c in enumerate(cases) if c.name.startswith(f"{body}:")])
    }


def _scan_report(plan: Plan, case: YardstickCase, curves: Float) -> dict[str, object]:
    mm = curves[Curve.SAGITTAL] * case.mm_per_px
    real = scan_statistics(_given(plan.scan, "--scan"), _given(plan.spacing, "--spacing"))
    return {
        "sagittal_distance": sagittal_distance(SPINE_CROP_ROWS * case.mm_per_px, mm),
        "real_picture": real.to_json(),
        "simulated_pictures": [s.to_json() for s in simulated_statistics()],
    }


def _write(out: Path, report: Report, shown: Sequence[tuple[Sequence[YardstickCase], Float]]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8")
    (out / "report.md").write_text(report.to_markdown(), encoding="utf-8")
    if shown:
        draw_sheet(shown, out / "sheet.png")
