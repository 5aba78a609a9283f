"""Filters of a search of winners, by what is stored with them."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self

import orjson
from pydantic import AfterValidator, Field, ValidationError, model_validator

from callsheet.ads.identifiers import Identifier
from callsheet.ads.winners.creatives import Metric, Tag
from callsheet.domain.comparable_time import comparable_time
from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.model import Model
from callsheet.domain.validation_problems import all_problems

MAX_FILTERS = 20
"""Of one kind."""
_INVALID = "The conditions are invalid"
_SIGNS = {">=": "min", "<=": "max"}

Time = Annotated[datetime, AfterValidator(comparable_time)]


class Bounds(Model):
    """Bounds of a figure, both included."""

    min: Metric | None = None
    max: Metric | None = None

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}, so nothing can be found")
        return self


class WinnerFilter(Model):
    """Which winners are searched: those that meet every condition."""

    tags: list[Tag] = Field([], max_length=MAX_FILTERS, description="Tags that they have, all of them")
    attributes: dict[Identifier, str | float | bool] = Field(
        {},
        max_length=MAX_FILTERS,
        description="Values of their attributes, compared as text; of a list, one member. `a.b` is `b` inside of `a`",
        examples=[{"platform": "meta", "adSet": "prospecting"}],
    )
    metrics: dict[Identifier, Bounds] = Field(
        {},
        max_length=MAX_FILTERS,
        description="Bounds of their figures. A winner without the figure is not searched",
        examples=[{"roas": {"min": 2}}],
    )
    indexed_after: Time | None = Field(None, description="Their newest change was at this time or later")
    indexed_before: Time | None = Field(None, description="Their newest change was before this time")

    @property
    def is_empty(self) -> bool:
        """Whether all winners are searched."""
        return not self.model_dump(exclude_defaults=True)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the statement `matching_winners`."""
        return {
            "tags": orjson.dumps(self.tags).decode(),
            "attribute_names": list(self.attributes),
            "attribute_values": [_as_text(value) for value in self.attributes.values()],
            "metric_names": list(self.metrics),
            "metric_mins": [-math.inf if each.min is None else each.min for each in self.metrics.values()],
            "metric_maxs": [math.inf if each.max is None else each.max for each in self.metrics.values()],
            "indexed_after": self.indexed_after,
            "indexed_before": self.indexed_before,
        }


def _as_text(value: str | float | bool) -> str:
    """Return a value as PostgreSQL writes that of a JSON document."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(int(value)) if value.is_integer() else repr(value)


def read_attributes(texts: Sequence[str]) -> dict[str, str]:
    """Return conditions such as `platform=meta` by name. Raises BadParams for those that are none."""
    found: dict[str, str] = {}
    problems = []
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.strip() or not value.strip() or name.endswith(("<", ">")):
            problems.append(Problem("attribute", "bad_value", f"'{text}' is no condition; write name=value"))
        elif found.setdefault(name.strip(), value.strip()) != value.strip():
            problems.append(Problem("attribute", "conflicting_fields", f"'{name.strip()}' has two values"))
    _refuse(problems)
    return found


def read_metrics(texts: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return bounds such as `roas>=2` by name. Raises BadParams for those that are none."""
    found: dict[str, dict[str, float]] = {}
    problems = []
    for text in texts:
        name, end, number = _bound(text)
        if not name or number is None:
            problems.append(Problem("metric", "bad_value", f"'{text}' is no bound; write name>=number or name<=number"))
        elif found.setdefault(name, {}).setdefault(end, number) != number:
            problems.append(Problem("metric", "conflicting_fields", f"'{name}' has two {end}imums"))
    _refuse(problems)
    return found


def _bound(text: str) -> tuple[str, str, float | None]:
    """Return the name, the end and the number of a bound; no name, or None, for what is none."""
    for sign, end in _SIGNS.items():
        name, found, number = text.partition(sign)
        if found:
            return name.strip(), end, _number(number)
    return "", "", None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise BadParams(problems, _INVALID)


def read_filter(
    *,
    tags: Sequence[str] = (),
    attributes: Sequence[str] = (),
    metrics: Sequence[str] = (),
    indexed_after: datetime | None = None,
    indexed_before: datetime | None = None,
) -> WinnerFilter:
    """Return the conditions of a query, such as `platform=meta` and `roas>=2`. Raises BadParams with all problems."""
    data = {
        "tags": list(tags),
        "attributes": read_attributes(attributes),
        "metrics": read_metrics(metrics),
        "indexedAfter": indexed_after,
        "indexedBefore": indexed_before,
    }
    try:
        return WinnerFilter.model_validate(data)
    except ValidationError as error:
        raise BadParams(all_problems(error, WinnerFilter, data), _INVALID) from None
