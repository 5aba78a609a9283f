"""Sizes of `/v1/videos`, such as `1280x720`, as aspect ratio and resolution of a model."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from callsheet.providers.model_records import Parameter

_TOLERANCE = 0.06
"""Maximum relative difference between a requested and an offered ratio or line count: 1792x1024 matches 16:9, 1080p."""


def inputs_for_size(width: int, height: int, parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """Return the model's `aspectRatio` and `resolution` for a size in pixels.

    Raises ValueError if the model has no such size.
    """
    ratio, resolution = parameters.get("aspectRatio"), parameters.get("resolution")
    if ratio is None and resolution is None:
        raise ValueError("the model has one size only")
    inputs: dict[str, Any] = {}
    if ratio is not None:
        inputs["aspectRatio"] = _nearest(ratio, width / height, _ratio_of, f"the aspect ratio of {width}x{height}")
    if resolution is not None:
        lines = min(width, height)
        inputs["resolution"] = _nearest(resolution, lines, _lines_of, f"{lines} lines")
    return inputs


def _nearest(parameter: Parameter, requested: float, measure: Callable[[str], float | None], what: str) -> Any:
    measured = {choice: measure(str(choice)) for choice in parameter.choices or ()}
    differences = {choice: abs(value / requested - 1) for choice, value in measured.items() if value is not None}
    nearest = min(differences, key=differences.__getitem__, default=None)
    if nearest is None or differences[nearest] > _TOLERANCE:
        offered = ", ".join(map(str, differences)) or "one size only"
        raise ValueError(f"the model does not offer {what}; it offers {offered}")
    return nearest


def _ratio_of(choice: str) -> float | None:
    ratio = re.fullmatch(r"(\d{1,9})[:x](\d{1,9})", choice)
    return int(ratio[1]) / int(ratio[2]) if ratio and int(ratio[2]) else None


def _lines_of(choice: str) -> float | None:
    lines = re.fullmatch(r"(\d{1,9})[pP]", choice)
    return float(lines[1]) if lines else 2160.0 if choice.lower() == "4k" else None
