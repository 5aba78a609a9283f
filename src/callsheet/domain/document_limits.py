"""Limits of JSON and YAML documents from outside, so that reading one takes bounded time and memory."""

from typing import Any

MAX_DEPTH = 100
"""Levels of objects and lists inside each other."""
MAX_VALUES = 250_000
"""Values of a document, after the aliases of YAML are replaced by what they stand for."""
MAX_FIELDS = 10_000
"""Fields of one object."""
MAX_ALIASES = 10_000
"""Aliases of a YAML document."""
MAX_DIGITS = 20
"""Digits of an integer. Larger ones than 64 bits cannot be stored."""
MAX_NUMBER_LENGTH = 400
"""Characters of a number with a fraction or an exponent."""


class DocumentError(ValueError):
    """A document that cannot be read. `line` and `column` count from 1."""

    def __init__(
        self, message: str, line: int | None = None, column: int | None = None, *, limit: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
        self.is_limit = limit
        """Whether the document exceeds a limit, and may be valid otherwise."""

    @property
    def located(self) -> str:
        """The message with line and column, if they are known."""
        return f"{self.message} (line {self.line}, column {self.column})" if self.line else self.message


def exceeds(what: str, given: int | None, allowed: int) -> str:
    """Return the message for an exceeded limit, such as `25 digits; at most 20 are allowed`.

    `given` is None if it was not counted to the end."""
    return (
        f"{given:,} {what}; at most {allowed:,} are allowed" if given else f"more than the allowed {allowed:,} {what}"
    )


def check_size(data: Any, *, max_values: int | None = MAX_VALUES) -> None:
    """Raise DocumentError for parsed data with too many levels, or too many values; None: with any number of values."""
    level, count, depth = [data], 0, 0
    while level:
        count += len(level)
        if max_values is not None and count > max_values:
            raise DocumentError(exceeds("values", None, max_values), limit=True)
        if depth > MAX_DEPTH:
            raise DocumentError(f"nested too deeply: {exceeds('levels', None, MAX_DEPTH)}", limit=True)
        following: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                following.extend(value.values())
            elif isinstance(value, list):
                following.extend(value)
        level, depth = following, depth + 1
