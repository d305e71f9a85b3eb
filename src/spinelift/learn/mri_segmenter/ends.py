"""Training of the second network, which finds T1 and L5 in the first one's features of all slices."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spinelift.learn.mri_segmenter.config import EndsConfig, MriSegmenterConfig
from spinelift.learn.mri_segmenter.data import MriPerson
from spinelift.learn.mri_segmenter.network import EndsNetwork, SliceNetwork
from spinelift.segment.mri import triples


@torch.inference_mode()
def slice_features(model: SliceNetwork, people: Sequence[MriPerson]) -> list[Tensor]:
    """Features [F, z] of every slice of every person."""
    model.eval()
    out = []
    for person in people:
        rows = np.arange(len(person.mask))
        parts = [
            model(torch.from_numpy(triples(person.pixels, r)))[1]
            for r in np.array_split(rows, len(rows) // 64 + 1)
        ]
        out.append(torch.cat(parts).T)
    return out


def train_ends(
    config: MriSegmenterConfig, features: list[Tensor], people: Sequence[MriPerson]
) -> EndsNetwork:
    """Train on the features [F, z] of each person, augmented by :func:`augment_features`."""
    ends = config.ends
    generator = torch.Generator().manual_seed(config.loop.seed)
    torch.manual_seed(config.loop.seed)
    model = EndsNetwork(config.network)
    optimizer = torch.optim.AdamW(model.parameters(), lr=ends.rate, weight_decay=ends.weight_decay)
    spread = torch.cat(features, 1).std(1)[:, None]
    true = [torch.tensor(p.ends, dtype=torch.float32) for p in people]
    for step in range(ends.steps):
        for group in optimizer.param_groups:
            group["lr"] = ends.rate * 0.5 * (1 + np.cos(np.pi * step / ends.steps)) + ends.final_rate
        loss = torch.zeros(())
        for k in torch.randint(len(people), (ends.batch,), generator=generator).tolist():
            x, at = augment_features(features[k], true[k], spread, ends, generator)
            target = torch.softmax(
                -0.5 * ((torch.arange(x.shape[2]) - at[:, None]) / ends.sigma_slices) ** 2, 1
            )
            loss = loss - (target * model.logits(x)[0].log_softmax(1)).sum(1).mean() / ends.batch
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), ends.clip_norm)
        optimizer.step()
    return model.eval()


def augment_features(
    features: Tensor, ends: Tensor, spread: Tensor, config: EndsConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Stretch features [F, z] along z, cut them at the top, add noise and an offset.

    ``ends`` are slices [2], ``spread`` the standard deviations [F, 1] of the features. Returns [1, F, z']
    and the ends in it.
    """
    stretch = 1 + config.stretch * float(torch.rand((), generator=generator) * 2 - 1)
    x = F.interpolate(features[None], scale_factor=stretch, mode="linear", align_corners=False)
    at = (ends + 0.5) * x.shape[2] / features.shape[1] - 0.5
    most = max(0, min(config.cut_slices, int(at[0]) - config.kept_slices))
    first = int(torch.randint(0, 1 + most, (1,), generator=generator))
    x, at = x[:, :, first:], at - first
    x = x + torch.randn(x.shape, generator=generator) * spread * config.noise
    return x + torch.randn((1, x.shape[1], 1), generator=generator) * spread * config.offset, at
