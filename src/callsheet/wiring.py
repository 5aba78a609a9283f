"""Putting the parts together; the only file that knows them all."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from uuid import UUID

import asyncpg

from callsheet.db.database import TRANSIENT_ERRORS, Database
from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.db.upgrade import check_revision, upgrade
from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import DatabaseUnreachable
from callsheet.domain.records import Execution
from callsheet.engine.reads.event_stream import EventStream
from callsheet.engine.reads.views import find_artifact, get_execution
from callsheet.engine.submissions.webhook_inbox import WebhookInbox
from callsheet.engine.worker.context import WorkerServices
from callsheet.engine.worker.loop import Worker
from callsheet.engine.worker.progress_writer import ProgressWriter
from callsheet.files.cache import FileCache
from callsheet.files.signed_urls import sign_path, signing_key
from callsheet.files.sources import SourceOpener
from callsheet.files.storage import Storage, open_storage
from callsheet.media.ffmpeg.binary import open_ffmpeg
from callsheet.notify.webhooks import WebhookSender
from callsheet.operation.catalog import Catalog
from callsheet.operation.requirements import runnable_operations
from callsheet.providers.catalog import Providers, discover_providers
from callsheet.providers.contract import Provider
from callsheet.providers.settings import ProviderSettings
from callsheet.settings import Settings


@dataclass(frozen=True, slots=True)
class Runtime:
    """Everything that a face (API, CLI, library) needs: an open database and what stands on it."""

    settings: Settings
    database: Database
    catalog: Catalog
    storage: Storage
    key: bytes
    event_stream: EventStream
    providers: Providers

    def sign(self, artifact: Artifact) -> tuple[str, datetime]:
        """Return the artifact's URL, signed, with the moment it expires."""
        expires = datetime.now(UTC) + self.settings.signed_url_ttl
        url = self.storage.sign(artifact.key, lifetime=self.settings.signed_url_ttl)
        if url is None:
            path = f"/files/{artifact.artifact_id}"
            url = f"{self.base_url}{path}{sign_path(self.key, path, expires=expires)}"
        return url, expires

    @property
    def base_url(self) -> str:
        """How this server is reached from outside."""
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        return (self.settings.public_url or f"http://{host}:{self.settings.port}").rstrip("/")

    def worker(
        self,
        lanes: dict[str, int] | None = None,
        *,
        name: str | None = None,
        id: UUID | None = None,
        only: UUID | None = None,
    ) -> Worker:
        """Return a worker for these lanes, by default all that the settings and the operations name.

        With `only`, it runs nothing but jobs of that execution.
        """
        catalog = runnable_operations(self.catalog, self.settings)
        return Worker(
            settings=self.settings,
            database=self.database,
            catalog=catalog,
            tools=self._worker_services(),
            lanes=lanes or self.default_lanes(),
            name=name,
            id=id,
            only=only,
        )

    def webhook_sender(self) -> WebhookSender:
        """Return a sender of the webhooks that wait in the outbox."""

        async def view(execution_id: UUID) -> Execution:
            return await get_execution(self.database, execution_id, self.sign)

        return WebhookSender(self.database, view, key=self.key, settings=self.settings, base_url=self.base_url)

    def webhook_inbox(self) -> WebhookInbox:
        """Return what takes webhooks of providers in."""
        return WebhookInbox(self.database, self.providers)

    def default_lanes(self) -> dict[str, int]:
        """Return a lane for every queue that an operation waits in."""
        spare = self.settings.lanes.get("default", 8)
        return {queue: self.settings.lanes.get(queue, spare) for queue in self.catalog.queues()}

    def _worker_services(self) -> WorkerServices:
        find = partial(find_artifact, self.database)

        async def artifact(artifact_id: UUID) -> Artifact:
            return await find(artifact_id)

        return WorkerServices(
            settings=self.settings,
            database=self.database,
            storage=self.storage,
            opener=SourceOpener(self.storage, self.settings, artifact),
            reporter=ProgressWriter(self.database),
            catalog=self.catalog,
            cache=FileCache(self.storage, max_age=self.settings.cache_max_age),
            ffmpeg=cache(lambda: open_ffmpeg(self.settings)),
            providers=self.providers,
        )


@asynccontextmanager
async def open_database(settings: Settings, *, migrate: bool) -> AsyncIterator[Database]:
    """Open the database that the settings name, or the embedded one.

    With `migrate`, missing migrations are applied; without, an old schema raises ConfigurationError. The embedded database is
    always brought up to date: nobody else looks after it. Raises DatabaseUnreachable when it does not answer.
    """
    async with AsyncExitStack() as stack:
        if settings.database_url is not None:
            dsn = settings.database_url.get_secret_value()
        else:
            embedded = EmbeddedPostgres(settings.data_dir / "postgres")
            dsn = await asyncio.to_thread(embedded.start)
            stack.push_async_callback(asyncio.to_thread, embedded.stop)
            migrate = True
        try:
            if migrate:
                await upgrade(dsn)
            database = await stack.enter_async_context(Database(dsn, size=settings.database_pool_size))
            if not migrate:
                await check_revision(database)
        except (
            *TRANSIENT_ERRORS,
            asyncpg.InvalidAuthorizationSpecificationError,
            asyncpg.InvalidCatalogNameError,
        ) as error:
            raise database_unavailable(settings, error) from None
        yield database


def database_unavailable(settings: Settings, error: BaseException) -> DatabaseUnreachable:
    """Say which database cannot be reached and why, without its password."""
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if settings.database_url is None:
        return DatabaseUnreachable(f"The embedded database in {settings.data_dir} does not answer ({reason}).")
    place = settings.database_url.get_secret_value().rpartition("@")[2].partition("?")[0]
    return DatabaseUnreachable(
        f"The database at {place} cannot be reached ({reason}). Check DATABASE_URL, and that PostgreSQL runs there."
    )


@asynccontextmanager
async def open_runtime(
    settings: Settings,
    catalog: Catalog,
    *,
    migrate: bool = False,
    follow_events: bool = True,
    extra_providers: Iterable[Provider] = (),
    provider_settings: Iterable[ProviderSettings] = (),
) -> AsyncIterator[Runtime]:
    """Open everything, and close it at the end.

    `extra_providers` are added to the installed ones. `provider_settings` replace those of the environment.
    """
    async with (
        discover_providers(settings, provider_settings=provider_settings, opened=extra_providers) as providers,
        open_database(settings, migrate=migrate) as database,
    ):
        event_stream = EventStream(database)
        runtime = Runtime(
            settings=settings,
            database=database,
            catalog=catalog,
            storage=await asyncio.to_thread(open_storage, settings),
            key=await asyncio.to_thread(signing_key, settings),
            event_stream=event_stream,
            providers=providers,
        )
        listening = asyncio.create_task(event_stream.run()) if follow_events else None
        try:
            yield runtime
        finally:
            if listening is not None:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)


def select_lanes(queues: Iterable[str], concurrency: dict[str, int], settings: Settings) -> dict[str, int]:
    """Return lanes for named queues: the given concurrency, else that of the settings."""
    spare = settings.lanes.get("default", 8)
    return {queue: concurrency.get(queue) or settings.lanes.get(queue, spare) for queue in queues}
