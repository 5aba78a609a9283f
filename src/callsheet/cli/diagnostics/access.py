"""Who may use the server."""

from collections.abc import AsyncIterator

from callsheet.api.bind_check import require_api_key_beyond_loopback
from callsheet.cli.diagnostics.findings import Finding, ok
from callsheet.cli.diagnostics.installation import Installation
from callsheet.db.statements import sql


async def bind_address(installation: Installation) -> AsyncIterator[Finding]:
    """Report a server that other machines could use without an API key. Raises ConfigurationError for one."""
    settings = installation.settings
    has_keys = settings.api_key is None and bool(await installation.read(sql.has_access_rules))
    require_api_key_beyond_loopback(settings, has_keys=has_keys)
    is_needed = settings.api_key is not None or has_keys
    yield ok("bind_address", "API key required" if is_needed else f"{settings.host}, without API key")
