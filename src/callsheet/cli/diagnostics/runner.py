"""Run all checks at once, each with a time limit."""

import asyncio
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from callsheet.cli.bootstrap import settings_problems
from callsheet.cli.diagnostics.all_checks import CHECKS
from callsheet.cli.diagnostics.check import Check
from callsheet.cli.diagnostics.findings import Finding, Level, ok
from callsheet.cli.diagnostics.installation import Installation
from callsheet.domain.errors import CallsheetError
from callsheet.settings import Settings

_ORDER: tuple[Level, ...] = ("error", "warning", "ok")
_CORRECT = "correct the setting; see docs/settings.md"


async def run_checks(
    options: Mapping[str, object], modules: list[str] | None, *, checks: Sequence[Check] = CHECKS
) -> list[Finding]:
    """Run all checks. Return errors first, then warnings, then what is in order.

    `options` are settings that take precedence over variables; those that are None do not count.
    """
    try:
        settings = Settings(**{name: value for name, value in options.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        return [Finding("settings.invalid", line, _CORRECT) for line in settings_problems(error)]
    except OSError as error:
        return [Finding("settings.unreadable_file", f"a file cannot be read: {error}", "check its path and its owner")]
    async with Installation(settings, modules) as installation:
        found = await asyncio.gather(*(_findings_of(check, installation) for check in checks))
    # Checks that need the same thing fail for the same reason.
    findings = dict.fromkeys([ok("settings", "valid"), *(finding for group in found for finding in group)])
    return sorted(findings, key=lambda finding: _ORDER.index(finding.level))


async def _findings_of(check: Check, installation: Installation) -> list[Finding]:
    """Return the findings of one check; of one that takes too long, those until then."""
    findings: list[Finding] = []
    try:
        async with asyncio.timeout(check.seconds):
            async for finding in check.run(installation):
                findings.append(finding)
    except TimeoutError:
        message = f"the check of {check.name} did not end in {check.seconds:g} seconds"
        findings.append(Finding("check.timed_out", message, "check whether what it connects to responds"))
    except CallsheetError as error:
        findings.append(Finding(check.failure, error.message, check.action))
    return findings
