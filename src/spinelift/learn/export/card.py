"""Cards of trained networks, written from the records of their runs."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import nn

from spinelift.bundle import hash_files, write_card
from spinelift.bundle.bundle import CardT
from spinelift.bundle.card import Network, Training
from spinelift.evaluate.people import count_people
from spinelift.learn.loop.train import RECORD
from spinelift.learn.people import DONORS
from spinelift.version import __version__

LICENCE = "Apache-2.0"
"""Of networks that have seen simulated people alone."""
NO_LICENCE = "not stated: the terms of the training data apply"
SIMULATED = "Trained on simulated people only; for research, not for diagnosis."
CRUDE = "Metal, fused or missing vertebrae and transitional levels were simulated crudely or not at all."
LIMITS = {
    "prediction": [
        "Supine total-body DXA of adults in antero-posterior view, T1 to L5; nothing of standing posture.",
        "Depth is measured from the spine's own mean; axial rotation of vertebrae is not estimated.",
    ],
    "mri_segmenter": ["Trained on simulated people alone; never tested on a real MRI. Research use."],
    "lva": [
        "Trained on simulated lateral views alone; never tested on a real LVA image. Research use.",
        "Adults lying on the side, T5 to L5; implants, fused or missing vertebrae were not simulated.",
    ],
    "encoders": ["For research, not for diagnosis."],
}
"""What the sets of each kind that we train must not be used for."""


def write_new_card(kind: type[CardT], folder: Path, files: Iterable[str], **parts: Any) -> CardT:
    """Write the card of ``files`` in a folder, dated now; ``parts`` are the rest of its fields."""
    usual = {"licence": LICENCE, "limits": LIMITS[kind.model_fields["kind"].default]}
    card = kind(
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), spinelift_version=__version__,
        files=hash_files(folder, files), **{**usual, **parts},
    )  # fmt: skip
    write_card(folder, card)
    return card


def terms_of(seen: bytes, licence: str | None = None) -> dict[str, Any]:
    """Licence and limits of a prediction bundle whose networks have seen these people (``evaluate.people``).

    ``licence`` is what its maker says; without it, that of the package holds where all are simulated.
    """
    people, real = count_people(seen)
    usual = LIMITS["prediction"]
    if not real:
        return {"licence": licence or LICENCE, "limits": [SIMULATED, *usual, CRUDE]}
    whom = f"Trained on {real} real and {people - real} simulated people; for research, not for diagnosis."
    return {"licence": licence or NO_LICENCE, "limits": [whom, *usual]}


def read_record(run: Path) -> dict[str, Any]:
    """``run.json`` of a training run."""
    record: dict[str, Any] = json.loads((run / RECORD).read_text(encoding="utf-8"))
    return record


def training_of(record: dict[str, Any], **details: str | int | float | bool) -> Training:
    """What a card says of a run."""
    return Training(
        **{name: record[name] for name in ("people", "steps", "seconds", "seed")},
        data=", ".join(record["data"]),
        details={
            **details,
            "init_from": record["init_from"] or "random weights",
            **({DONORS: ", ".join(record[DONORS])} if record.get(DONORS) else {}),
            **{f"validation_{name}": value for name, value in record["validation"].items()},
            **{f"version_{name}": value for name, value in record["versions"].items()},
        },
    )


def network_of(model: nn.Module, config: Any) -> Network:
    """What a card says of a network with its configuration."""
    settings = {
        k: v if isinstance(v, str | int | float | bool) else json.dumps(v)
        for k, v in config.model_dump(mode="json").items()
    }
    parameters = sum(p.numel() for p in model.parameters())
    return Network(architecture=type(model).__name__, parameters=parameters, settings=settings)
