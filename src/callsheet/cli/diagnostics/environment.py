"""Variables of the environment and of the file `.env` that have no effect."""

from collections.abc import AsyncIterator

from callsheet.cli.diagnostics.findings import Finding
from callsheet.cli.diagnostics.installation import Installation
from callsheet.cli.environment import ambiguous_api_base_url, unknown_variables, unused_variables


async def environment(_: Installation) -> AsyncIterator[Finding]:
    """Report unknown variables, and those of other systems."""
    for line in unknown_variables():
        yield Finding("environment.unknown_variable", line, "correct its name, or remove it; see docs/settings.md")
    for line in unused_variables():
        yield Finding("environment.no_effect", line, "remove the variable, and set what replaces it")
    if ambiguous := ambiguous_api_base_url():
        yield Finding("environment.ambiguous", ambiguous, "set CALLSHEET_API_BASE_URL_IS")
