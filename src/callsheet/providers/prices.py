"""Prices of models as numbers, and what a request costs by them."""

import os
import re
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, TypeAdapter, ValidationError, model_validator

from callsheet.domain.document_limits import DocumentError
from callsheet.domain.errors import ConfigurationError
from callsheet.domain.model import Model
from callsheet.domain.yaml_text import read_yaml

PriceUnit = Literal["second", "run", "megapixel", "token"]
Amount = Annotated[
    Decimal,
    Field(ge=0, le=1_000_000, allow_inf_nan=False),
    PlainSerializer(float, return_type=float, when_used="json"),
]
_SIZE = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")
_QUANTITY_INPUTS: Mapping[PriceUnit, str] = {"second": "duration", "token": "maxTokens"}


class PriceRow(Model):
    """An amount that applies if several inputs have certain values."""

    when: dict[str, str | int | float | bool] = Field(
        min_length=1, description="Name of an input → its value", examples=[{"resolution": "720p", "duration": 10}]
    )
    amount: Amount = Field(description="US dollars for each unit if all of these inputs have these values")

    @property
    def conditions(self) -> set[tuple[str, str]]:
        """The inputs with their values as text."""
        return {(name, _text(value)) for name, value in self.when.items()}


class Price(Model):
    """What a provider charges for a model, in US dollars.

    It has one `amount`, or `amounts` by the value of one input, or `rows` by the values of several inputs.
    """

    amount: Amount | None = Field(None, description="US dollars for each unit; null: it depends on inputs")
    per: PriceUnit = Field(description="`second` and `megapixel`: of the output")
    by: str | None = Field(None, description="Name of the input that the amount depends on", examples=["resolution"])
    amounts: dict[str, Amount] = Field(default_factory=dict, description="Value of that input → US dollars")
    rows: list[PriceRow] = Field(
        default_factory=list, description="Amounts that depend on several inputs: the first row that fits applies"
    )
    date: date
    source: str = Field(description="Where the price was read")

    @model_validator(mode="after")
    def _check_amounts(self) -> "Price":
        forms = (self.amount is not None, self.by is not None, bool(self.rows))
        if sum(forms) != 1 or bool(self.amounts) != (self.by is not None):
            raise ValueError("a price has either `amount`, or `by` with `amounts`, or `rows`")
        for later, row in enumerate(self.rows):
            for earlier in range(later):
                if self.rows[earlier].conditions <= row.conditions:
                    raise ValueError(f"rows[{later}] never applies: rows[{earlier}] fits first")
        return self

    @property
    def text(self) -> str:
        """The price for people, with its date: `$0.05 per second (2026-05-26)`."""
        labels: dict[Decimal, list[str]] = {}
        for amount, conditions in self._amounts():
            labels.setdefault(amount, []).append(" and ".join(_label(*each) for each in conditions))
        parts = [f"{_dollars(amount)}{_at(texts)}" for amount, texts in labels.items()]
        return f"{', '.join(parts)} per {self.per} ({self.date.isoformat()})"

    @property
    def summary(self) -> str:
        """The price in few words: `$0.03 to $0.15 per second`."""
        amounts = [amount for amount, _ in self._amounts()]
        low, high = min(amounts), max(amounts)
        return f"{_dollars(low)}{f' to {_dollars(high)}' if high > low else ''} per {self.per}"

    def cost(self, inputs: Mapping[str, Any]) -> Decimal | None:
        """Return the cost of a request in US dollars; None if its inputs do not determine it.

        `inputs` has the defaults of the model for what the request does not name.
        """
        amount, quantity = self._amount(inputs), self._quantity(inputs)
        return None if amount is None or quantity is None else amount * quantity

    def _amounts(self) -> Iterable[tuple[Decimal, list[tuple[str, Any]]]]:
        """Yield each amount with the inputs and values that it is for."""
        if self.amount is not None:
            yield self.amount, []
        for value, amount in self.amounts.items():
            yield amount, [(self.by or "", value)]
        for row in self.rows:
            yield row.amount, list(row.when.items())

    def _amount(self, inputs: Mapping[str, Any]) -> Decimal | None:
        if self.by is not None:
            return self.amounts.get(_text(inputs.get(self.by)))
        given = {(name, _text(value)) for name, value in inputs.items()}
        return next((row.amount for row in self.rows if row.conditions <= given), self.amount)

    def _quantity(self, inputs: Mapping[str, Any]) -> Decimal | None:
        if self.per == "run":
            return Decimal(1)
        if self.per == "megapixel":
            return _megapixels(inputs)
        return _number(inputs.get(_QUANTITY_INPUTS[self.per]))


_PRICES: TypeAdapter[dict[str, dict[str, Price]]] = TypeAdapter(dict[str, dict[str, Price]])


def read_prices(prices_file: Path | None) -> Mapping[tuple[str, str], Price]:
    """Return the prices of a file by provider and the provider's name of the model. Cached until the file changes.

    Raises ConfigurationError if the file is invalid.
    """
    if prices_file is None:
        return {}
    try:
        modified = prices_file.stat().st_mtime_ns
    except OSError as error:
        raise ConfigurationError(f"The prices file {prices_file} cannot be read: {error.strerror}") from None
    return _read(prices_file, modified)


@lru_cache(maxsize=4)
def _read(prices_file: Path, _modified: int) -> Mapping[tuple[str, str], Price]:
    try:
        content = read_yaml(prices_file.read_bytes()) or {}
        found = _PRICES.validate_python(content)
    except OSError as error:
        raise ConfigurationError(f"The prices file {prices_file} cannot be read: {error.strerror}") from None
    except DocumentError as error:
        raise ConfigurationError(f"{os.fspath(prices_file)}: {error.located}") from None
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_input=False)]
        raise ConfigurationError("\n  ".join([f"The prices file {prices_file} is invalid:", *lines])) from None
    return {(provider, model): price for provider, models in found.items() for model, price in models.items()}


def _megapixels(inputs: Mapping[str, Any]) -> Decimal | None:
    width, height = _number(inputs.get("width")), _number(inputs.get("height"))
    if match := _SIZE.fullmatch(str(inputs.get("size", ""))):
        width, height = Decimal(match[1]), Decimal(match[2])
    return None if width is None or height is None else width * height / 1_000_000


def _text(value: Any) -> str:
    """Return a value of an input as the key of an amount: `true`, `5`, `720p`."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _label(name: str, value: Any) -> str:
    """Return a value for people, with the name of its input where the value alone says little: `720p`, `duration 5`."""
    text = _text(value)
    says_much = any(map(str.isalpha, text)) and text not in ("true", "false")
    return text if says_much else f"{name} {text}"


def _at(labels: list[str]) -> str:
    return f" at {' or '.join(labels)}" if any(labels) else ""


def _dollars(amount: Decimal) -> str:
    """Return an amount with all its digits, and at least cents."""
    cents = round(amount, 2)
    return f"${cents:f}" if cents == amount else f"${amount.normalize():f}"


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        return None
    return Decimal(str(value))
