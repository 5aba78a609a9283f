"""Text styles of titles and captions."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, WithJsonSchema, model_validator

from callsheet.domain.model import Model
from callsheet.domain.text_form import TextForm
from callsheet.media.values import Color

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


def read_position(value: Any) -> Any:
    """Convert spellings such as `topLeft`, `top-left` and `centre` to a Position."""
    if not isinstance(value, str):
        return value
    spelled = "".join(f"_{c.lower()}" if c.isupper() else c for c in value.strip().replace("-", "_").replace(" ", "_"))
    return {"centre": "center", "middle": "center"}.get(spelled.lstrip("_"), spelled.lstrip("_"))


Effect = Literal["none", "karaoke", "highlight", "word"]
"""Highlighting of words as they are spoken."""

_WEIGHTS = {"thin": 100, "light": 300, "normal": 400, "regular": 400, "medium": 500, "semibold": 600, "bold": 700}
_WEIGHTS |= {"extrabold": 800, "black": 900, "heavy": 900}


def _read_weight(value: Any) -> Any:
    if not isinstance(value, str) or value.isdigit():
        return value
    name = value.strip().lower().replace("-", "").replace("_", "").replace(" ", "")
    if name not in _WEIGHTS:
        raise ValueError(f"'{value}' is not a font weight: write 100 to 900, or one of {', '.join(_WEIGHTS)}")
    return _WEIGHTS[name]


Weight = Annotated[
    int,
    Field(ge=100, le=900),
    BeforeValidator(_read_weight),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 100, "maximum": 900}, {"enum": list(_WEIGHTS)}]}),
]


class TextStyle(Model):
    """Text style. Sizes are in output pixels; the defaults depend on the output size."""

    font_family: Annotated[
        str, TextForm(r"^[^,{}\\\n\r]+$", "one font family, without commas, braces and backslashes")
    ] = Field(
        "Inter",
        max_length=80,
        validation_alias=AliasChoices("fontFamily", "font"),
        description="A font family bundled with Callsheet or installed on the worker",
    )
    font_size: float | None = Field(
        None,
        gt=0,
        le=2000,
        validation_alias=AliasChoices("fontSize", "size"),
        description="Line height. Reduced if the text does not fit",
    )
    font_weight: Weight = Field(
        700,
        validation_alias=AliasChoices("fontWeight", "weight"),
        description="100 to 900, or a name such as bold; `bold: true` and `bold: false` mean 700 and 400",
    )
    italic: bool = False
    uppercase: bool = False
    color: Color = Field("#ffffff", validation_alias=AliasChoices("color", "colour"))
    stroke_color: Color = Field("#000000", validation_alias=AliasChoices("strokeColor", "strokeColour"))
    stroke_width: float | None = Field(None, ge=0, le=100)
    shadow: float | None = Field(None, ge=0, le=100, description="Offset of the shadow; 0: no shadow")
    shadow_color: Color = Field("#000000", validation_alias=AliasChoices("shadowColor", "shadowColour"))
    background_color: Color | None = Field(
        None,
        validation_alias=AliasChoices("backgroundColor", "backgroundColour", "background"),
        description="Color of a box behind the text. Default: no box",
    )
    background_opacity: float = Field(0.6, ge=0, le=1)
    padding: float | None = Field(None, ge=0, le=500, description="Distance from the text to the edge of its box")
    line_height: float = Field(1.0, ge=1, le=4, description="Line spacing, relative to that of the font")
    letter_spacing: float = Field(
        0.0, ge=-100, le=500, description="Additional space between letters; negative values reduce it"
    )
    align: Literal["left", "center", "right"] | None = Field(
        None, description="Alignment of the lines. Default: follows the position"
    )
    position: Annotated[Position, BeforeValidator(read_position)] | None = Field(
        None, description="Default: center for titles, bottom for captions"
    )
    margin: float | None = Field(
        None, ge=0, description="Distance from the frame edges at the position. Default: the safe area"
    )
    max_width: float | None = Field(
        None, gt=0, le=1, description="Maximum line width as a fraction of the frame width. Default: the safe area"
    )
    effect: Effect = Field(
        "none",
        description="Highlighting of spoken words. karaoke: the highlight color fills the text; highlight: the current "
        "word has the highlight color; word: only the current word is visible",
    )
    highlight_color: Color = Field(
        "#ffd400",
        validation_alias=AliasChoices("highlightColor", "highlightColour"),
        description="Color of highlighted words",
    )

    @model_validator(mode="before")
    @classmethod
    def _convert_bold(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("bold"), bool):
            return value
        if {"font_weight", "fontWeight", "weight"} & value.keys():
            raise ValueError("give fontWeight or bold, not both")
        rest = {key: item for key, item in value.items() if key != "bold"}
        return {**rest, "font_weight": 700 if value["bold"] else 400}
