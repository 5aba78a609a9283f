"""A check: what `callsheet check` runs."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from callsheet.cli.diagnostics.findings import Finding
from callsheet.cli.diagnostics.installation import Installation


@dataclass(frozen=True, slots=True)
class Check:
    """A function that yields findings.

    async def pages(installation: Installation) -> AsyncIterator[Finding]:
        yield ok("pages", "12 pages")

    Check("the pages", pages, failure="pages.unusable", action="install the package again")
    """

    name: str
    """What it checks, in words."""
    run: Callable[[Installation], AsyncIterator[Finding]]
    failure: str = "settings.invalid"
    """Code of the finding for a CallsheetError that `run` raises."""
    action: str = "correct the settings that the message names"
    """What to do about such an error."""
    seconds: float = 30.0
    """Time limit."""
