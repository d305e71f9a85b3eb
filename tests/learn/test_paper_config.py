"""``paper.yaml`` as it is resolved, key by key, beside the paper (3D Spine Shape Estimation, MICCAI 2024)."""

import pytest

from spinelift.config import flat
from spinelift.learn.regressor.config import RegressorConfig

OFF = "not in the paper: off"
OPEN = "left open by the paper"
OURS = "how the run is watched and saved"

PAPER: dict[str, tuple[object, str]] = {
    "version": (1, OURS),
    "network.kind": ("paper", "2.3, figure 4"),
    "network.backbone": ("resnetv2_50x1_bit.goog_in21k", "2.3: ResNet50 pre-trained on ImageNet-21k"),
    "network.pretrained": (True, "2.3: ResNet50 pre-trained on ImageNet-21k"),
    "network.weights": (None, OURS),
    "network.bot_layers": (1, "2.3: a transformer layer"),
    "network.bot_width": (512, OPEN),
    "network.heads": (4, OPEN),
    "network.dropout": (0.3, "3.1: dropout with a probability of 0.3"),
    "augment.plain": (0, "3.1: every image is augmented"),
    "augment.ramp": (0, OFF),
    "augment.scramble": (0, OFF),
    "augment.strangers": (0, OFF),
    "augment.geometry.mirror": (0, OFF),
    "augment.geometry.warp": (0, OFF),
    "augment.geometry.warp_px": (0, OFF),
    "augment.geometry.tilt_px": (0, OFF),
    "augment.geometry.width": (0, OFF),
    "augment.geometry.scale": (0, OFF),
    "augment.geometry.row_px": (2.5, "3.1: cropping; size left open"),
    "augment.geometry.column_px": (2.5, "3.1: cropping; size left open"),
    "augment.tone.contrast": (0.2, "3.1: image contrast; size left open"),
    "augment.tone.noise": (1, "3.1: random Gaussian noise"),
    "augment.tone.noise_level": (0.03, "3.1: random Gaussian noise; size left open"),
    "augment.tone.noise_slope": (0, "3.1: Gaussian, whatever the grey"),
    "augment.tone.noise_floor": (1, "3.1: Gaussian, whatever the grey"),
    "augment.tone.keep_air": (1, "black stays black; a change of contrast keeps it"),
    **{
        f"augment.tone.{name}": (0, OFF)
        for name in (
            "gamma", "brightness", "curve", "saturate", "field", "local", "blur", "strong_blur", "grain",
            "bone_grain", "smear", "lines", "patches", "missing", "degrade",
        )
    },
    "loss.l1": (1, "2.3: L1 between predicted and true points"),
    "loss.smooth": (1, "3.1: a regulariser to the L1 loss; kind and weight left open"),
    "loss.nll": (0.1, "not in the paper: fits the learnt scale, and moves nothing else"),
    "loss.nll_detach": (True, "not in the paper: fits the learnt scale, and moves nothing else"),
    "loss.sagittal": (1, "2.3: all six curves alike"),
    "loss.slope": (0, OFF),
    "loss.locate": (0, OFF),
    "simulated": (None, OFF),
    "freeze_locator": (False, OFF),
    "init_from": (None, OFF),
    "optim.rate": (1e-4, "3.1: initially 1e-4"),
    "optim.betas": ((0.9, 0.999), "3.1: Adam with beta = (0.9, 0.999)"),
    "optim.weight_decay": (0, "3.1: Adam, without decay"),
    "optim.clip_norm": (None, OFF),
    "optim.schedule.kind": ("step", "3.1: decay every 200 epochs"),
    "optim.schedule.every_epochs": (200, "3.1: decay every 200 epochs"),
    "optim.schedule.factor": (0.1, OPEN),
    "loop.seed": (1, OURS),
    "loop.batch": (16, "3.1: batch size 16"),
    "loop.epochs": (500, "3.1: 500 epochs"),
    "loop.steps": (None, OURS),
    "loop.max_seconds": (None, OURS),
    "loop.threads": (None, OURS),
    "loop.ema": (0, OFF),
    "loop.validate_every": (1738, "3: once an epoch of 27,816 pairs"),
    "loop.validate_limit": (3477, "3: 3,477 validation pairs"),
    "loop.keep_best": (None, OFF),
    "loop.patience": (None, OFF),
    "loop.checkpoint_seconds": (600, OURS),
    "loop.log_every": (50, OURS),
    "device.accelerator": ("auto", OURS),
    "device.devices": (1, "3.1: one GPU"),
    "device.nodes": (1, "3.1: one GPU"),
    "device.precision": ("fp32", OPEN),
    "device.compile": (False, OURS),
}  # fmt: skip
SIZES_OF_WHAT_IS_OFF = {
    "saturate_gain", "field_log", "field_cells", "local_log", "local_window", "blur_px", "strong_blur_px",
    "grain_px", "bone_grain_level", "bone_grain_rows", "bone_grain_columns", "smear_px", "lines_level",
    "lines_offset",
}  # fmt: skip
"""Sizes of augmentations whose share is 0 in the table, so that they do nothing."""


def test_every_resolved_value_is_the_papers_or_is_named_as_ours():
    """A new key of the model fails here until it is in the table: no default slips in."""
    resolved = flat(RegressorConfig.load("paper.yaml").model_dump())
    rest = {key for key in resolved if key.startswith("guide.")} | {"loss.posterior"}  # of the rows network
    rest |= {f"augment.tone.{name}" for name in SIZES_OF_WHAT_IS_OFF}
    assert set(resolved) - rest == set(PAPER)
    assert {key: value for key, value in resolved.items() if key not in rest} == {
        key: value for key, (value, _) in PAPER.items()
    }
    assert rest <= set(resolved)


@pytest.mark.parametrize(("name", "layers"), [("resnet50", 0), ("paper_stack", 3)])
def test_its_variants_change_the_transformer_layers_alone(name, layers):
    paper, other = (RegressorConfig.load(f"{n}.yaml") for n in ("paper", name))
    assert paper.differences(other) == {"network.bot_layers": (1, layers)}
