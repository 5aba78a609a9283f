"""Operations: which can run on this machine, and which on no worker."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from callsheet.cli.diagnostics.findings import Finding, ok
from callsheet.cli.diagnostics.installation import Installation
from callsheet.db.statements import sql
from callsheet.operation_api.requirements import missing_requirements


async def operations(installation: Installation) -> AsyncIterator[Finding]:
    """Report the operations that can run here, and those that cannot, by reason."""
    missing = missing_requirements(installation.catalog, installation.settings)
    names = [operation.name for operation in installation.catalog.operations()]
    yield ok("operations", ", ".join(name for name in names if name not in missing) or "none")
    for reason, lacking in _by_reason(missing).items():
        yield Finding(
            "operations.not_runnable",
            f"{', '.join(lacking)} cannot run here. {reason}.",
            "do so on the workers that are to run them; other machines need nothing",
        )


async def workers(installation: Installation) -> AsyncIterator[Finding]:
    """Report operations that no live worker can run, although one knows them, and queued jobs of such operations."""
    rows = await installation.read(sql.live_workers)
    if not rows:
        return
    runnable = {name for row in rows for name in row["operations"]}
    missing: dict[str, dict[str, str]] = {}
    for row in rows:
        missing |= {name: needs for name, needs in json.loads(row["missing"]).items() if name not in runnable}
    yield ok("workers", f"{_workers(len(rows))}; operations: {len(runnable)}")
    for reason, lacking in _by_reason(missing).items():
        yield Finding(
            "workers.lack_operation",
            f"{_none_of(len(rows))} can run {', '.join(lacking)}. {reason}.",
            "do so on the machine of a worker, and start that worker again",
        )
    queued = await installation.read(sql.ready_operations) or ()
    if unserved := sorted({row["operation"] for row in queued} - runnable):
        yield Finding(
            "workers.unserved_jobs",
            f"there are queued jobs, and {_none_of(len(rows))} can run {', '.join(unserved)}",
            "start a worker that has the operation (`--import`, or the package that brings it), or cancel the jobs",
        )


def _workers(count: int) -> str:
    return "one live worker" if count == 1 else f"{count} live workers"


def _none_of(count: int) -> str:
    return "the only live worker cannot, so that none" if count == 1 else f"none of the {count} live workers"


def _by_reason(missing: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the operations that a reason, or several, keep from running."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, needs in missing.items():
        found[_sentences(needs.values())].append(name)
    return dict(found)


def _sentences(reasons: Iterable[str]) -> str:
    return ". ".join(dict.fromkeys(reason.rstrip(".") for reason in reasons))
