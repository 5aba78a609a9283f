"""Endpoints of webhooks that are disabled or fail."""

from collections.abc import AsyncIterator

from callsheet.cli.diagnostics.findings import Finding
from callsheet.cli.diagnostics.installation import Installation
from callsheet.db.statements import sql
from callsheet.files.fetch import redact_url


async def webhooks(installation: Installation) -> AsyncIterator[Finding]:
    """Report endpoints that are disabled or fail."""
    for row in await installation.read(sql.list_endpoints) or ():
        endpoint = f"the endpoint {row['id']} ({redact_url(row['url'])})"
        if row["disabled_at"] and row["disabled_reason"] in ("failing", "gone"):
            yield Finding(
                "webhooks.failing",
                f"{endpoint} is disabled ({row['disabled_reason']})",
                f"enable it with `callsheet webhooks change {row['id']} --enable`, or delete it",
            )
        elif row["failing_since"] and not row["disabled_at"]:
            yield Finding(
                "webhooks.failing",
                f"no delivery to {endpoint} succeeded since {row['failing_since']:%Y-%m-%d %H:%M} UTC",
                f"see `callsheet webhooks show {row['id']}`",
            )
