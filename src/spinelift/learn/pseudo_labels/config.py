"""Typed configuration of the pseudo-label loop."""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from spinelift.config import Config
from spinelift.learn.loop.config import Share
from spinelift.learn.segmenter.config import SegmenterConfig


class PseudoLabelConfig(Config):
    """One experiment."""

    version: Literal[1] = 1
    segmenter: SegmenterConfig = Field(description="of every round; the first has no windows")
    rounds: PositiveInt = Field(default=6, description="largest number of rounds")
    first_round: PositiveInt = Field(default=2, description="length of the first training over the others")
    min_confidence: Share = Field(default=0.6, description="least of both ends' peaks and the mask's mean")
    min_agreement: Share = Field(default=0.93, description="Dice of a scan's mask and of its mirror image's")
    max_ends_apart_mm: PositiveFloat = Field(default=8.0, description="ends of a scan and its mirror image")
    hand_share: Share = Field(default=0.3, description="least share of examples labelled by hand")
    review: NonNegativeInt = Field(default=10, description="number of uncertain scans under review at a time")
    still: Share = Field(default=0.99, description="stop when this share of the labels is unchanged")
