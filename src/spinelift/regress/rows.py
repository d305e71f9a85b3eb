"""The row-token network: each row of a feature map becomes one token; tokens talk, and give the curves there.

A spine is read row by row: where its edges are, how its posterior elements overlap its bodies. So the map
keeps 56 rows (4 px each) while its columns are folded into channels; two or three transformer layers let
the rows agree on one spine.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spinelift.geometry import CROP_SIZE, SPINE_ROWS
from spinelift.regress.config import RowsConfig
from spinelift.regress.head import HEAD_PX, Prediction, positive_scale, row_weights, zero_mean_sagittal
from spinelift.regress.normalise import Normalise

Stride = tuple[int, int]


class Block(nn.Module):
    """Residual block. A strided side has kernel 4, so that outputs lie in the middle of their inputs.

    (With kernel 3 and stride 2 they would lie half a pixel off, and a mirrored image would not give
    mirrored features.)
    """

    def __init__(self, inputs: int, outputs: int, stride: Stride) -> None:
        super().__init__()
        kernel = (4 if stride[0] == 2 else 3, 4 if stride[1] == 2 else 3)
        self.conv1 = nn.Conv2d(inputs, outputs, kernel, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        pool = nn.AvgPool2d(stride, stride) if stride != (1, 1) else nn.Identity()
        self.skip: nn.Module = nn.Identity()
        if stride != (1, 1) or inputs != outputs:
            self.skip = nn.Sequential(
                pool, nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] → [B, outputs, H / stride, W / stride]."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.skip(x))


class Layer(nn.Module):
    """Pre-norm transformer layer over rows, written out so that it exports plainly."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, distance: Tensor) -> Tensor:
        """Tokens [B, T, C]; ``distance`` [heads, T, T] is added to the attention's logits."""
        b, t, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(b, t, 3, self.heads, c // self.heads).unbind(2)
        logits = q.transpose(1, 2) @ k.permute(0, 2, 3, 1) * (c // self.heads) ** -0.5 + distance
        mixed = (logits.softmax(-1) @ v.transpose(1, 2)).transpose(1, 2).reshape(b, t, c)
        x = x + self.drop(self.out(mixed))
        x = x + self.drop(self.down(F.gelu(self.up(self.norm2(x)))))
        return x


class RowsRegressor(nn.Module):
    """Image 0..255 [B, 1, 224, 224] → :class:`Prediction`."""

    mean_curves: Tensor
    to_rows: Tensor
    offsets: Tensor

    def __init__(self, config: RowsConfig, mean_curves: Tensor) -> None:
        super().__init__()
        c0, c1, c2, c3 = config.channels
        self.normalise = Normalise(tuple(config.windows))
        self.stem = nn.Sequential(
            nn.Conv2d(self.normalise.channels, c0, 4, 2, 1, bias=False), nn.BatchNorm2d(c0), nn.ReLU()
        )
        self.blocks = nn.Sequential(
            Block(c0, c1, (2, 2)),
            Block(c1, c2, (1, 2)),
            Block(c2, c3, (1, 2)),
            *(Block(c3, c3, (1, 1)) for _ in range(config.extra_blocks)),
        )
        tokens, columns, width = CROP_SIZE // 4, CROP_SIZE // 16, config.width
        self.project = nn.Linear(c3 * columns, width)
        self.position = nn.Parameter(torch.randn(tokens, width) * 0.02)
        self.distance = nn.Parameter(torch.zeros(config.heads, 2 * tokens - 1))
        self.layers = nn.ModuleList(Layer(width, config.heads, config.dropout) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(config.dropout)
        self.curves = nn.Linear(width, 6)
        self.scale = nn.Linear(width, 6)
        for head in (self.curves, self.scale):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        self.register_buffer("mean_curves", mean_curves.reshape(6, SPINE_ROWS).clone().float())
        self.register_buffer("to_rows", row_weights(tokens, stride=4, first=1.5), persistent=False)
        rows = torch.arange(tokens)
        self.register_buffer("offsets", rows[:, None] - rows[None] + tokens - 1, persistent=False)

    def forward(self, image: Tensor) -> Prediction:
        """Curves in crop px, their Laplace scale, and the mean token."""
        x = self.blocks(self.stem(self.normalise(image)))
        tokens = self.project(x.permute(0, 2, 3, 1).flatten(2)) + self.position
        distance = self.distance[:, self.offsets]
        for layer in self.layers:
            tokens = layer(tokens, distance)
        tokens = self.norm(tokens)
        dropped = self.drop(tokens)
        curves = HEAD_PX * (self.curves(dropped).transpose(1, 2) @ self.to_rows) + self.mean_curves
        scale = positive_scale(self.scale(dropped)).transpose(1, 2) @ self.to_rows
        return Prediction(zero_mean_sagittal(curves), scale, tokens.mean(1))
