"""The LVA network: the segmenter's network, augmentation and loss, trained on lateral vertebral views."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from spinelift.bundle import PEOPLE, LvaCard, add_metrics, load_bundle
from spinelift.bundle.card import Metric
from spinelift.bundle.kinds import LateralPreprocessing
from spinelift.errors import NoSpineError
from spinelift.evaluate.bootstrap import mean_estimate, resample_counts
from spinelift.evaluate.people import count_people
from spinelift.files import write_whole
from spinelift.geometry import Spacing
from spinelift.geometry.arrays import Float
from spinelift.geometry.canonical import LATERAL_MM, LATERAL_SHAPE, CanonicalGrid
from spinelift.learn.export.card import NO_LICENCE, network_of, read_record, training_of, write_new_card
from spinelift.learn.export.onnx import export_onnx, smooth_images
from spinelift.learn.loop.examples import Examples
from spinelift.learn.loop.loop import Outcome
from spinelift.learn.loop.train import begin, train
from spinelift.learn.people import donors_of_training, people_of_training
from spinelift.learn.segmenter.config import SegmenterConfig
from spinelift.learn.segmenter.train import SegmenterTask
from spinelift.learn.segmenter.unet import Segmenter
from spinelift.segment.lateral import LateralSegmenter, LateralSpine, find_line
from spinelift.store.memory import Laterals
from spinelift.store.rows import LateralStore, load_laterals
from spinelift.version import __version__

GRID = CanonicalGrid.lateral(Spacing(LATERAL_MM, LATERAL_MM), LATERAL_SHAPE)
"""The canvas as if it were an image: its mm start at the centre of its first pixel."""


class LvaTask(SegmenterTask):
    """Lateral views in memory."""

    validation: Laterals

    @torch.inference_mode()
    def validate(self, model: nn.Module, limit: int) -> dict[str, float]:
        """Error of the centre line and of the lower end, mm, and share of people whose column is found."""
        model.eval()
        device = next(model.parameters()).device
        errors = []
        for k in range(min(limit, len(self.validation))):
            image = torch.from_numpy(self.validation.image[k : k + 1]).to(device).float()[:, None]
            try:
                errors.append(compare(find_line(model(image)[0].cpu().numpy(), GRID), self.validation, k))
            except NoSpineError:
                continue
        found = np.array(errors).reshape(-1, 3)
        names = ("centre_line_mm", "upper_end_mm", "lower_end_mm")
        means = np.nanmean(found, 0) if len(found) else np.full(3, np.nan)
        share = len(errors) / max(min(limit, len(self.validation)), 1)
        return {**{n: float(v) for n, v in zip(names, means, strict=True) if np.isfinite(v)}, "found": share}


def compare(spine: LateralSpine, truth: Laterals, row: int) -> tuple[float, float, float]:
    """Mean distance along rows of the centre lines, and that of the ends in height, mm; NaN: not seen."""
    true_y = truth.line[row].astype(np.float64) * LATERAL_MM
    seen = np.isfinite(true_y)
    z = np.arange(len(true_y))[seen] * LATERAL_MM
    y, line_z = spine.line_mm.T
    both = (line_z >= z[0]) & (line_z <= z[-1])
    line = float(np.abs(y[both] - np.interp(line_z[both], z, true_y[seen])).mean()) if both.any() else np.nan
    ends = truth.ends[row, :, 0].astype(np.float64) * LATERAL_MM
    found = [np.nan if height is None else height for height in (spine.top_mm, spine.bottom_mm)]
    top, bottom = (
        abs(f - true) if z[0] <= true <= z[-1] + LATERAL_MM else np.nan
        for f, true in zip(found, ends, strict=True)
    )
    return line, top, bottom


def measure(run: Path, truth: Laterals, dataset: str) -> list[Metric]:
    """Errors of the exported network on held-out people, with 95 % bootstrap intervals over people."""
    segmenter = LateralSegmenter(load_bundle(LvaCard, run))
    rows: list[tuple[float, float, float]] = []
    for k, image in enumerate(truth.image):
        try:
            rows.append(compare(segmenter.find(image.astype(np.float32), GRID.spacing), truth, k))
        except NoSpineError:
            continue
    missed = len(truth) - len(rows)
    out = [Metric(name="not_found", dataset=dataset, value=missed, unit="people", spines=len(truth))]
    names = ("centre_line", "upper_end", "lower_end")
    for name, column in zip(names, np.array(rows).reshape(-1, 3).T, strict=True):
        out += _metric(name, dataset, column[np.isfinite(column)])
    return out


def _metric(name: str, dataset: str, values: Float) -> list[Metric]:
    if not len(values):
        return []
    figure = mean_estimate(values, resample_counts(len(values)))
    interval = round(figure.low, 3), round(figure.high, 3)
    return [
        Metric(
            name=name, dataset=dataset, value=round(figure.value, 3), unit="mm", spines=len(values),
            interval95=interval,
        )
    ]  # fmt: skip


def _terms(seen: bytes) -> dict[str, object]:
    """Licence and limits of a network that has seen real people; nothing where all are simulated."""
    people, real = count_people(seen)
    limit = f"Trained on {real} real and {people - real} simulated people; for research, not for diagnosis."
    return {"licence": NO_LICENCE, "limits": [limit]} if real else {}


def train_lva(
    config: SegmenterConfig, *, data: Sequence[Path], validation: Path, out: Path, resume: bool = False
) -> Outcome:
    """Train, or resume; ``out`` then holds the files of a run, the ONNX file and its card with figures."""
    run = begin(config, out, resume=resume, several=True)
    views, held_out = load_laterals(data), load_laterals([validation])
    seen = people_of_training(views.eid, held_out.eid, run.config.init_from)
    examples = Examples(views.image, views.mask, views.ends, people=len(np.unique(views.eid)))
    outcome = train(
        run, lambda: Segmenter(config.network),
        lambda model: LvaTask(run.config, examples, held_out, model.to(memory_format=torch.channels_last)),
        examples=examples, held_out=len(held_out), data=[path.name for path in data], title="LVA network",
        donors=donors_of_training(map(LateralStore.open, data), run.config.init_from),
    )  # fmt: skip
    if outcome.main:
        write_whole(out / PEOPLE, seen)
        network, files = outcome.model, ["segmenter.onnx", PEOPLE]
        signature = LateralPreprocessing().signatures()["segmenter"]
        export_onnx(network, out / "segmenter.onnx", smooth_images(2, LATERAL_SHAPE), signature)
        write_new_card(
            LvaCard, out, files, name="lva", version=__version__, training=training_of(read_record(out)),
            networks={"segmenter": network_of(network, config.network)}, **_terms(seen),
        )  # fmt: skip
        add_metrics(LvaCard, out, measure(out, held_out, validation.name))
    return outcome
