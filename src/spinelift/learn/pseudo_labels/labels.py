"""Labels of unlabelled scans: a trained segmenter's proposals with their confidence, and a person's masks."""

import zipfile
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from spinelift.errors import ConfigError, NoSpineError
from spinelift.files import whole_file
from spinelift.geometry import Spacing
from spinelift.geometry.arrays import AnyArray, Bool, Float32, UInt8
from spinelift.geometry.canonical import CANONICAL_MM, CANONICAL_SHAPE, CanonicalGrid
from spinelift.learn.pseudo_labels.config import PseudoLabelConfig
from spinelift.learn.pseudo_labels.review import Correction
from spinelift.learn.segmenter.unet import Segmenter
from spinelift.segment.postprocess import BOTTOM, MASK, TOP, connected_mask, locate_spine, soft_peak

CANVAS = CanonicalGrid(Spacing(CANONICAL_MM, CANONICAL_MM), CANONICAL_SHAPE)
"""The canonical grid of a scan that is stored on it."""


@dataclass(frozen=True)
class Proposals:
    """Labels that the network proposes for n scans.

    ``mask`` uint8 0/1 [n, 832, 320], the mean over a scan and its mirror image; ``ends`` float32 [n, 2, 2],
    (row, col) of both ends, canonical px; ``found`` bool [n], one complete spine. Float32 [n] are
    ``confidence``, the lowest of both ends' peaks and the mean probability inside, 0 if not found;
    ``agreement``, the Dice of the masks of the scan and of its mirror image; and ``ends_apart_mm``, the
    largest distance of an end in the scan from that in its mirror image or of the mask.
    """

    mask: UInt8
    ends: Float32
    found: Bool
    confidence: Float32
    agreement: Float32
    ends_apart_mm: Float32

    def accepted(self, config: PseudoLabelConfig) -> Bool:
        """Labels that are confident enough to train on, bool [n]."""
        return np.asarray(
            self.found
            & (self.confidence >= config.min_confidence)
            & (self.agreement >= config.min_agreement)
            & (self.ends_apart_mm <= config.max_ends_apart_mm)
        )

    @property
    def doubt(self) -> Float32:
        """Uncertainty [n]; the largest values need review most."""
        return np.asarray(2.0 - self.confidence - self.agreement, np.float32)


@torch.inference_mode()
def propose(model: Segmenter, images: UInt8) -> Proposals:
    """Labels for images uint8 [n, 832, 320]."""
    model.eval()
    rows: list[tuple[UInt8, Float32, bool, float, float, float]] = []
    for image in images:
        both = np.stack([image, image[:, ::-1]])[:, None]
        maps = model(torch.from_numpy(both).float()).numpy()
        rows.append(_one(maps[0], maps[1, :, :, ::-1]))
    mask, ends, found, confidence, agreement, apart = zip(*rows, strict=True) if rows else ([],) * 6
    return Proposals(
        np.array(mask, np.uint8).reshape(-1, *CANONICAL_SHAPE),
        np.array(ends, np.float32).reshape(-1, 2, 2),
        np.array(found, bool),
        *(np.array(v, np.float32) for v in (confidence, agreement, apart)),
    )


def _one(maps: Float32, mirrored: Float32) -> tuple[UInt8, Float32, bool, float, float, float]:
    """Mask, ends, found, confidence, agreement, ends apart from maps [3, H, W] of a scan and its mirror."""
    agreement = dice(maps[MASK] >= 0.5, mirrored[MASK] >= 0.5)
    moved = (soft_peak(maps[c])[0] - soft_peak(mirrored[c])[0] for c in (TOP, BOTTOM))
    apart = max(float(np.linalg.norm(v)) for v in moved)
    mean = (maps + mirrored) / 2
    try:
        place = locate_spine(mean, CANVAS)
    except NoSpineError:
        mask = (connected_mask(mean[MASK])[0] >= 0.5).astype(np.uint8)
        ends = np.stack([soft_peak(mean[c])[0] for c in (TOP, BOTTOM)])
        return mask, ends.astype(np.float32), False, 0.0, agreement, apart * CANONICAL_MM
    ends = CANVAS.canvas.to_pixels(np.array([place.top_xz_mm, place.bottom_xz_mm]))
    mask = (place.mask >= 0.5).astype(np.uint8)
    rows = np.flatnonzero(mask.any(1))
    apart = max(apart, abs(rows[0] - 0.5 - ends[0, 0]), abs(rows[-1] + 0.5 - ends[1, 0]))
    return mask, ends.astype(np.float32), True, place.confidence, agreement, apart * CANONICAL_MM


def dice(a: AnyArray, b: AnyArray) -> float:
    """Dice of two masks; 1 if both are empty."""
    one, other = a.astype(bool), b.astype(bool)
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


class Source(IntEnum):
    """Source of a label."""

    DOUBTFUL = 0  # the network, uncertain: not trained on
    ACCEPTED = 1  # the network, confident
    HAND = 2  # a person
    UNUSABLE = 3  # a person: the scan cannot be used


@dataclass
class Labels:
    """Labels of n scans: ``source`` uint8 [n], ``mask`` uint8 [n, 832, 320], ``ends`` float32 [n, 2, 2]."""

    source: UInt8
    mask: UInt8
    ends: Float32

    @classmethod
    def none(cls, n: int) -> "Labels":
        """Labels that are all doubtful and empty."""
        masks = np.zeros((n, *CANONICAL_SHAPE), np.uint8)
        return cls(np.zeros(n, np.uint8), masks, np.zeros((n, 2, 2), np.float32))

    def rows(self, source: Source) -> NDArray[np.intp]:
        """Indices of the scans with a label of this source."""
        return np.flatnonzero(self.source == source)

    def correct(self, correction: Correction) -> bool:
        """Set a label by hand; returns whether it changes anything."""
        row, mask = correction.row, correction.mask
        source = Source.UNUSABLE if mask is None else Source.HAND
        new = self.source[row] != source
        self.source[row] = source
        if mask is not None:
            new = new or (self.mask[row] != mask).any()
            self.mask[row], self.ends[row] = mask, correction.ends
        return bool(new)

    def propose(self, rows: NDArray[np.intp], proposals: Proposals, config: PseudoLabelConfig) -> None:
        """Set the network's labels of ``rows``."""
        self.source[rows] = np.where(proposals.accepted(config), Source.ACCEPTED, Source.DOUBTFUL)
        self.mask[rows], self.ends[rows] = proposals.mask, proposals.ends

    def save(self, path: Path) -> None:
        """Write as npz; masks are packed to one bit a pixel."""
        bits = np.packbits(self.mask.reshape(len(self.mask), -1), axis=1)
        with whole_file(path) as file:
            np.savez_compressed(file, source=self.source, bits=bits, ends=self.ends)

    @classmethod
    def load(cls, path: Path) -> "Labels":
        """Read a file of :meth:`save`."""
        try:
            with np.load(path, allow_pickle=False) as held:
                source, bits, ends = held["source"], held["bits"], held["ends"]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ConfigError(
                found=f"no labels in {path.name} ({error})",
                expected="labels of a finished round",
                do="Start in a new folder.",
            ) from error
        return cls(source, np.unpackbits(bits, axis=1).reshape(-1, *CANONICAL_SHAPE), ends)


def examples(hand: NDArray[np.intp], sure: NDArray[np.intp], hand_share: float) -> NDArray[np.intp]:
    """Rows of an epoch: accepted scans once, scans labelled by hand repeated to reach their share."""
    if not len(hand):
        return sure
    wanted = hand_share / max(1 - hand_share, 1e-6) * len(sure)
    return np.concatenate([sure, np.tile(hand, max(1, int(np.ceil(wanted / len(hand)))))])
