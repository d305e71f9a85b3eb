"""Labels of the scans of a pseudo-label loop: their source, masks and ends."""

import zipfile
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spinelift.errors import ConfigError
from spinelift.files import whole_file
from spinelift.geometry.arrays import Float32, UInt8
from spinelift.geometry.canonical import CANONICAL_SHAPE
from spinelift.learn.pseudo_labels.config import PseudoLabelConfig
from spinelift.learn.pseudo_labels.proposals import Proposals
from spinelift.learn.pseudo_labels.review import Correction
from spinelift.store.rows import Scans


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


def joined(known: Scans | None, images: UInt8, eid: NDArray[np.int64], labels: Labels) -> Scans:
    """Scans that were labelled before, then the others with their current labels."""
    others = Scans(images, labels.mask, labels.ends, eid)
    return others if known is None else Scans.join([known, others])


def examples(hand: NDArray[np.intp], sure: NDArray[np.intp], hand_share: float) -> NDArray[np.intp]:
    """Rows of an epoch: accepted scans once, scans labelled by hand repeated to reach their share."""
    if not len(hand):
        return sure
    wanted = hand_share / max(1 - hand_share, 1e-6) * len(sure)
    return np.concatenate([sure, np.tile(hand, max(1, int(np.ceil(wanted / len(hand)))))])
