"""Results of a bench: rows for a table on the screen and for a JSON file."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.children import ChildFailed


@dataclass
class Row:
    """One line: what was measured, its values in the order of the columns, and every single measurement."""

    name: str
    values: list[str]
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Verdict:
    """A promise, and whether these figures keep it."""

    promise: str
    figure: str
    kept: bool


@dataclass
class Finding:
    """All that one bench found."""

    name: str
    title: str
    columns: list[str]
    rows: list[Row] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    """Systems that are here and could not be measured, with the reason."""
    noise: list[float] = field(default_factory=list)
    """Share of the machine that others used, before each measurement."""

    @contextmanager
    def errors_of(self, name: str) -> Iterator[None]:
        """Keep the failure of one system, so that the others are still measured."""
        try:
            yield
        except (ChildFailed, RuntimeError) as error:
            self.errors[name] = str(error)

    def as_dict(self) -> dict[str, Any]:
        """Return it for the JSON file."""
        return {
            "title": self.title,
            "rows": [
                {"name": row.name, **dict(zip(self.columns, row.values, strict=False)), **row.facts}
                for row in self.rows
            ],
            "verdicts": [vars(verdict) for verdict in self.verdicts],
            "notes": self.notes,
            "errors": self.errors,
            "noise": {"median": median(self.noise), "most": max(self.noise)} if self.noise else None,
        }


def show(finding: Finding, console: Console) -> None:
    """Print the table, the promises below it, and the notes."""
    table = Table(title=finding.title, title_justify="left", title_style="bold")
    table.add_column("", no_wrap=True)
    for column in finding.columns:
        table.add_column(column, justify="right", no_wrap=True)
    for row in finding.rows:
        table.add_row(row.name, *row.values)
    console.print()
    console.print(table)
    for verdict in finding.verdicts:
        mark = Text("kept  ", "green") if verdict.kept else Text("missed", "red")
        console.print(Text("  ").append(mark).append(f" {verdict.promise}: {verdict.figure}"))
    for name, error in finding.errors.items():
        console.print(Text(f"  {name} failed: {error}", "red"))
    for note in finding.notes:
        console.print(Text(f"  {note}", "dim"))


def skipped(name: str, reason: str) -> Row:
    """Return the row of a system that could not be run here."""
    return Row(name, [f"skipped: {reason}"], {"skipped": reason})


def milliseconds(seconds: float) -> str:
    """Write seconds as milliseconds."""
    return f"{seconds * 1000:.2f}"


def percentile(values: list[float], share: float) -> float:
    """Return the value that this share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]
