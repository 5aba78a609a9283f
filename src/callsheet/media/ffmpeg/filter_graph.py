"""Builder of FFmpeg filter graphs. All escaping is done here."""

from fractions import Fraction

_OPTION = str.maketrans({c: "\\" + c for c in "\\':"})
_GRAPH = str.maketrans({c: "\\" + c for c in "\\'[],;"})
_BLANKS = " \n\t\r"

Value = str | int | float | Fraction
Options = dict[str, Value | None]


def escape(value: Value) -> str:
    """Return an option value escaped for a filter graph, so that FFmpeg receives exactly that value."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")  # FFmpeg reads neither 1e-05 nor .5
    text = str(value)
    if "\0" in text:
        raise ValueError("a filter option must not hold a NUL character")
    # Two levels of escaping: FFmpeg parses the graph first, then the option. Escaping is done in reverse order.
    return _escape_edge_blanks(_escape_edge_blanks(text.translate(_OPTION)).translate(_GRAPH))


def _escape_edge_blanks(text: str) -> str:
    """Escape leading and trailing whitespace, which FFmpeg would strip."""
    lead = len(text) - len(text.lstrip(_BLANKS))
    text = "".join("\\" + c for c in text[:lead]) + text[lead:]
    end = len(text.rstrip(_BLANKS))
    if end < len(text) and (end - len(text[:end].rstrip("\\"))) % 2:
        end += 1  # that character is escaped already
    return text[:end] + "".join("\\" + c for c in text[end:])


class FilterGraph:
    """A filter graph under construction; its text goes after `-filter_complex`."""

    def __init__(self) -> None:
        self._chains: list[str] = []
        self._labels = 0

    def add(self, name: str, *inputs: str, **options: Value | None) -> str:
        """Append a filter and return the label of its output.

        Inputs are labels, or streams such as `0:v`. An option that is None is left out. A trailing underscore
        in an option name is dropped: it allows names that are Python keywords.
        """
        return self._append(name, inputs, 1, options)[0]

    def split(self, name: str, source: str, count: int = 2) -> list[str]:
        """Append `split` or `asplit`, and return the labels of its outputs."""
        return self._append(f"{name}={count}", (source,), count, {})

    def chain(self, source: str, *filters: tuple[str, Options]) -> str:
        """Append filters in sequence and return the label of the last output."""
        for name, options in filters:
            source = self.add(name, source, **options)
        return source

    def raw(self, source: str, filters: str) -> str:
        """Append filters without escaping. The text must come from a trusted source."""
        return self._append(filters, (source,), 1, {})[0]

    def __str__(self) -> str:
        return ";".join(self._chains)

    def _append(self, name: str, inputs: tuple[str, ...], outputs: int, options: Options) -> list[str]:
        labels = [f"n{self._labels + i}" for i in range(outputs)]
        self._labels += outputs
        arguments = ":".join(f"{key.rstrip('_')}={escape(v)}" for key, v in options.items() if v is not None)
        sources = "".join(f"[{label}]" for label in inputs)
        targets = "".join(f"[{label}]" for label in labels)
        self._chains.append(sources + name + ("=" + arguments if arguments else "") + targets)
        return labels
