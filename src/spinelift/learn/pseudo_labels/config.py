"""Typed configuration of the pseudo-label loop."""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from spinelift.learn.loop.config import Config, Share
from spinelift.learn.segmenter.config import SegmenterConfig


class PseudoLabelConfig(Config):
    """One experiment."""

    version: Literal[1] = 1
    segmenter: SegmenterConfig = Field(
        description="network and loop of every round; the first sees whole images, windows come after it"
    )
    rounds: PositiveInt = Field(default=6, description="at most so many")
    first_round: PositiveInt = Field(default=2, description="its training, times that of the others")
    min_confidence: Share = Field(default=0.6, description="lowest of both ends' peaks and the mask's mean")
    min_agreement: Share = Field(default=0.93, description="Dice of a scan's mask and of its mirror image's")
    max_ends_apart_mm: PositiveFloat = Field(
        default=8.0, description="ends of a scan and of its mirror image"
    )
    hand_share: Share = Field(default=0.3, description="least share of examples that a person labelled")
    review: NonNegativeInt = Field(default=10, description="doubtful scans that wait for a person at a time")
    still: Share = Field(default=0.99, description="the loop ends when so much of the labels stays as it was")
