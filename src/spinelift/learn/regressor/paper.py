"""The paper's network: ResNet50 → 7×7×2048 → bottleneck transformer → average → dropout → 6 × 209."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import timm
import torch
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError
from timm.layers.bottleneck_attn import BottleneckAttn
from torch import Tensor, nn

from spinelift.errors import ConfigError
from spinelift.geometry import CROP_SIZE, SPINE_ROWS
from spinelift.learn.images import full_precision
from spinelift.learn.regressor.config import PaperConfig
from spinelift.learn.regressor.head import HEAD_PX, Prediction, positive_scale, zero_mean_sagittal

MAP = CROP_SIZE // 32
UNLOADABLE = (
    OSError, RuntimeError, ValueError, KeyError, HfHubHTTPError, LocalEntryNotFoundError, SafetensorError,
    UnpicklingError,
)  # fmt: skip
"""What timm raises for weights that are out of reach, damaged, or of another network."""


class BotLayer(nn.Module):
    """Convolution 1×1, multi-head self-attention with relative positions, convolution 1×1, residual.

    Srinivas et al., Bottleneck Transformers for Visual Recognition, CVPR 2021, figure 1.
    """

    def __init__(self, channels: int, width: int, heads: int) -> None:
        super().__init__()
        self.into = nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.attention = BottleneckAttn(width, feat_size=(MAP, MAP), num_heads=heads)
        self.between = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU())
        self.back = nn.Sequential(nn.Conv2d(width, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, 7, 7] → the same."""
        y: Tensor = self.back(self.between(self.attention(self.into(x))))
        return torch.relu(x + y)


class PaperRegressor(nn.Module):
    """Image 0..255 [B, 1, 224, 224] → :class:`Prediction`; the scale is a learnt constant of each point."""

    mean_curves: Tensor
    grey_mean: Tensor
    grey_std: Tensor

    def __init__(self, config: PaperConfig, mean_curves: Tensor, *, load: bool = False) -> None:
        super().__init__()
        self.backbone: Any = _backbone(config, load=load)
        channels: int = self.backbone.num_features
        layers = (BotLayer(channels, config.bot_width, config.heads) for _ in range(config.bot_layers))
        self.bot = nn.Sequential(*layers)
        self.drop = nn.Dropout(config.dropout)
        self.curves = nn.Linear(channels, 6 * SPINE_ROWS)
        nn.init.zeros_(self.curves.weight)
        nn.init.zeros_(self.curves.bias)
        self.scale = nn.Parameter(torch.zeros(6, SPINE_ROWS))
        self.register_buffer("mean_curves", mean_curves.reshape(6, SPINE_ROWS).clone().float())
        for name in ("mean", "std"):
            values = torch.tensor(self.backbone.default_cfg[name]).reshape(1, 3, 1, 1)
            self.register_buffer(f"grey_{name}", values, persistent=False)

    def forward(self, image: Tensor) -> Prediction:
        """Curves in crop px, their Laplace scale, and the averaged map."""
        x = (image / 255.0).expand(-1, 3, -1, -1)
        maps = self.bot(self.backbone((x - self.grey_mean) / self.grey_std))
        with full_precision(maps):
            features = maps.float().mean((2, 3))
            heads = self.curves(self.drop(features)).reshape(-1, 6, SPINE_ROWS)
            curves = HEAD_PX * heads + self.mean_curves
        scale = positive_scale(self.scale)[None] + 0.0 * curves
        return Prediction(zero_mean_sagittal(curves), scale, features)


def _backbone(config: PaperConfig, *, load: bool) -> Any:
    """The timm network up to its last map, with pre-trained weights if ``load`` and configured.

    A :class:`ConfigError` says that the weights cannot be had.
    """

    def create(**kwargs: Any) -> Any:
        return timm.create_model(config.backbone, num_classes=0, global_pool="", **kwargs)

    if not (load and config.pretrained):
        return create()
    where: dict[str, Any] = {}
    if config.weights is not None:
        numpy = config.weights.endswith(".npz")  # the published form of BiT; all else is a state dict
        where = {"pretrained_cfg_overlay": {"file": config.weights, "custom_load": numpy}}
    try:
        return create(pretrained=True, **where)
    except UNLOADABLE as error:
        source = Path(config.weights).name if config.weights else "the Hugging Face hub"
        raise ConfigError(
            found=f"no weights of {config.backbone} from {source} ({type(error).__name__})",
            expected="pre-trained weights, as in the paper",
            do="Give --weights FILE, or --from-scratch to start from random weights.",
        ) from error
