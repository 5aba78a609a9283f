"""Geometry of a picture: crop and focus point."""

from pydantic import Field, model_validator

from callsheet.domain.model import Model


class Focus(Model):
    """The point that stays in sight when edges are cut off; also what a camera zooms to."""

    x: float = Field(0.5, ge=0, le=1, description="0: the left edge, 1: the right one")
    y: float = Field(0.5, ge=0, le=1, description="0: the top, 1: the bottom")


class Crop(Model):
    """What is cut off before anything else, in shares of the picture."""

    top: float = Field(0.0, ge=0, lt=1)
    right: float = Field(0.0, ge=0, lt=1)
    bottom: float = Field(0.0, ge=0, lt=1)
    left: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _something_is_left(self) -> "Crop":
        if self.left + self.right > 0.98 or self.top + self.bottom > 0.98:
            raise ValueError("the crop leaves nothing of the picture")
        return self
