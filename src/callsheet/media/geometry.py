"""Crop and focus point of an image or video."""

from pydantic import Field, model_validator

from callsheet.domain.model import Model


class Focus(Model):
    """The point that stays visible when edges are cropped. It is also the center of a zoom."""

    x: float = Field(0.5, ge=0, le=1, description="0: left edge, 1: right edge")
    y: float = Field(0.5, ge=0, le=1, description="0: top edge, 1: bottom edge")


class Crop(Model):
    """Shares of the width and height that are cropped from each side, before any other filter."""

    top: float = Field(0.0, ge=0, lt=1)
    right: float = Field(0.0, ge=0, lt=1)
    bottom: float = Field(0.0, ge=0, lt=1)
    left: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _check_remainder(self) -> "Crop":
        if self.left + self.right > 0.98 or self.top + self.bottom > 0.98:
            raise ValueError("the crop leaves nothing of the image")
        return self
