"""Typed configuration of the aligner's encoders and their training."""

from typing import Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from spinelift.align.onnx import CELL_PX
from spinelift.config import Config
from spinelift.learn.loop.config import Share, TrainingConfig


class EncoderConfig(Config):
    """Two VGG-like encoders of one shape (Simonyan and Zisserman 2015, arXiv:1409.1556)."""

    channels: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        default=(16, 32, 64), description="of the three stages; each halves the resolution"
    )
    features: PositiveInt = Field(default=32, description="length of the vector of a cell")


class CanvasConfig(Config):
    """Input of the encoders: square pixels, fixed sizes, zeros where nothing was measured."""

    pixel_mm: PositiveFloat = 2.0
    dxa: tuple[PositiveInt, PositiveInt] = (1000, 352)
    mri: tuple[PositiveInt, PositiveInt] = (704, 224)

    @model_validator(mode="after")
    def _whole_cells(self) -> Self:
        if any(n % CELL_PX for n in (*self.dxa, *self.mri)):
            raise ValueError(f"rows and columns must be multiples of {CELL_PX}")
        return self


class AlignAugment(Config):
    """Augmentation of a pair, independent for each modality."""

    rotation_deg: float = Field(default=2.0, description="± rotation of the MRI")
    shift_px: int = Field(default=8, ge=0, description="± shift of the MRI, pixels")
    gamma: float = Field(default=0.3, description="± exponent of grey, natural logarithm")
    noise: float = Field(default=0.03, description="standard deviation, share of the brightest")
    mirror: Share = Field(default=0.0, description="both images of a pair, left to right")


class AlignerConfig(TrainingConfig):
    """One experiment."""

    encoder: EncoderConfig = EncoderConfig()
    canvas: CanvasConfig = CanvasConfig()
    augment: AlignAugment = AlignAugment()
    temperature: PositiveFloat = Field(default=0.1, description="of InfoNCE (paper, section 2)")
