"""How text looks, in the words of an edit."""

from typing import Literal

from pydantic import AliasChoices, Field

from callsheet.domain.model import Model
from callsheet.media.words import Colour

Position = Literal[
    "top_left",
    "top",
    "top_right",
    "left",
    "center",
    "right",
    "bottom_left",
    "bottom",
    "bottom_right",
]


class TextStyle(Model):
    """How text looks. Sizes are pixels of the output; unset ones follow from the size of the output."""

    font_family: str = Field(
        "Inter",
        max_length=80,
        validation_alias=AliasChoices("fontFamily", "font"),
        pattern=r"^[^,{}\\\n]+$",
    )
    font_size: float | None = Field(None, gt=0, le=2000, validation_alias=AliasChoices("fontSize", "size"))
    bold: bool = True
    italic: bool = False
    uppercase: bool = False
    color: Colour = Field("#ffffff", validation_alias=AliasChoices("color", "colour"))
    stroke_color: Colour = "#000000"
    stroke_width: float | None = Field(None, ge=0, le=100)
    background_color: Colour | None = Field(None, description="A box behind the text; unset: none")
    background_opacity: float = Field(0.6, ge=0, le=1)
    position: Position | None = None
    margin: float | None = Field(None, ge=0, description="Distance from the edges that the position names")
