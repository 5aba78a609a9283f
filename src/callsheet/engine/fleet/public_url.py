"""The public base URL of the API, which a server records and workers read.

So only the server needs the setting `public_url`; workers submit with webhooks to its URL.
"""

from callsheet.db.database import FOREVER, Database
from callsheet.db.statements import sql
from callsheet.settings import Settings

RECORD_INTERVAL = 60.0
"""Seconds between two records of a server."""
_MAX_AGE = 600.0
"""Seconds after which a record no longer counts: the server has stopped, and a webhook would not arrive."""


async def record_public_url(database: Database, url: str) -> None:
    """Record the public URL of this server, for the next ten minutes."""
    await database.retry(lambda c: sql.record_public_url(c, url=url.rstrip("/")), timeout=5)


class PublicUrl:
    """The public URL that webhooks are sent to: that of the settings, else the newest one that a server recorded."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._recorded: str | None = None

    @property
    def url(self) -> str | None:
        """The URL without a trailing slash; None: there is no public URL, so that providers are polled."""
        configured = self._settings.public_url
        return configured.rstrip("/") if configured else self._recorded

    async def refresh(self, database: Database) -> None:
        """Read the recorded URL, unless the settings have one."""
        if self._settings.public_url is None:
            self._recorded = await database.retry(lambda c: sql.newest_public_url(c, max_age=_MAX_AGE), timeout=FOREVER)
