"""A network from its configuration."""

import torch
from torch import Tensor, nn

from spinelift.geometry import SPINE_ROWS
from spinelift.learn.regressor.config import PaperConfig, RowsConfig
from spinelift.learn.regressor.rows import RowsRegressor


def make_network(
    config: RowsConfig | PaperConfig, mean_curves: Tensor | None = None, *, load: bool = False
) -> nn.Module:
    """Network that returns a :class:`Prediction`; ``mean_curves`` [6, 209] are zero if weights follow.

    ``load`` fetches the pre-trained weights of the backbone, for a new training.
    """
    mean = torch.zeros(6, SPINE_ROWS) if mean_curves is None else mean_curves
    if isinstance(config, PaperConfig):
        from spinelift.learn.regressor.paper import PaperRegressor  # timm loads slowly

        return PaperRegressor(config, mean, load=load)
    return RowsRegressor(config, mean)
