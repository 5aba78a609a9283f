"""Diagnostics of an installation: each check yields findings and starts nothing."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import asyncpg
from pydantic import ValidationError

from callsheet.api.bind_check import require_api_key_beyond_loopback
from callsheet.cli.bootstrap import discover_operations, settings_problems
from callsheet.cli.environment import ambiguous_api_base_url, unknown_variables, unused_variables
from callsheet.cli.printing import size_text
from callsheet.comfyui.health import check_servers
from callsheet.comfyui.hosts import DEFAULT_URL
from callsheet.comfyui.pool import Pool
from callsheet.comfyui.server_command import describe_installation
from callsheet.comfyui.workflows import default_graph, load_workflow, stored_workflows
from callsheet.db.address import DatabaseAddress
from callsheet.db.compatibility import other_revision
from callsheet.db.embedded.initdb import check_version
from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.db.embedded.staging import refuse_during_restore
from callsheet.db.fitness import inspect, require_upgradable, require_usable, require_writable
from callsheet.db.migrations import HEAD
from callsheet.db.session import as_address, open_session
from callsheet.db.statements import sql
from callsheet.domain.errors import CallsheetError, ConfigurationError, ProviderUnreachable
from callsheet.files.fetch import redact_url
from callsheet.files.storage import open_storage
from callsheet.media.ffmpeg.binary import capabilities, find_ffmpeg
from callsheet.media.ffmpeg.sandbox import is_sandboxed
from callsheet.operation_api.requirements import missing_requirements
from callsheet.outside_steps.declarations import read_steps
from callsheet.processes.landlock import landlock_version
from callsheet.settings import Settings
from callsheet.wiring import configured_address, database_unavailable

_LOW_SPACE = 5_000_000_000
_NO_SPACE = 500_000_000
"""Free bytes on a disk below which a check warns, or fails."""
_NEEDED_ENCODERS = ("libx264", "aac")

Level = Literal["error", "warning", "ok"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    level: Level
    subject: str
    message: str


Check = Callable[[Settings, list[str] | None], AsyncIterator[Finding]]


async def run_checks(options: Mapping[str, object], modules: list[str] | None) -> list[Finding]:
    """Run all checks. Return errors first, then warnings, then successful checks."""
    try:
        settings = Settings(**{name: value for name, value in options.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        return [Finding("error", "settings", line) for line in settings_problems(error)]
    except OSError as error:
        return [Finding("error", "settings", f"a file cannot be read: {error}")]
    findings = [Finding("ok", "settings", "valid")]
    findings += [Finding("warning", "environment", line) for line in [*unknown_variables(), *unused_variables()]]
    if line := ambiguous_api_base_url():
        findings.append(Finding("warning", "environment", line))
    for check in (
        _data_dir,
        _disk,
        _database,
        _webhooks,
        _storage,
        _ffmpeg,
        _operations,
        _bind_address,
        _steps,
        _source_roots,
        _comfyui,
    ):
        findings += [finding async for finding in _run(check, settings, modules)]
    order: list[Level] = ["error", "warning", "ok"]
    return sorted(findings, key=lambda finding: order.index(finding.level))


async def _run(check: Check, settings: Settings, modules: list[str] | None) -> AsyncIterator[Finding]:
    subject = check.__name__.strip("_").replace("_", " ")
    try:
        async for finding in check(settings, modules):
            yield finding
    except CallsheetError as error:
        yield Finding("error", subject, error.message)


async def _data_dir(settings: Settings, _: list[str] | None) -> AsyncIterator[Finding]:
    folder = _existing_parent(settings.data_dir)
    if not os.access(folder, os.W_OK | os.X_OK) or not folder.is_dir():
        yield Finding("error", "data folder", f"{settings.data_dir} is not writable; set CALLSHEET_DATA_DIR")
    else:
        yield Finding(
            "ok", "data folder", f"{settings.data_dir}{'' if folder == settings.data_dir else ', will be created'}"
        )


def _existing_parent(folder: Path) -> Path:
    folder = folder.expanduser().absolute()
    return next(path for path in (folder, *folder.parents) if path.exists())


async def _disk(settings: Settings, _: list[str] | None) -> AsyncIterator[Finding]:
    for folder in dict.fromkeys([settings.data_dir, settings.scratch_dir]):
        free = shutil.disk_usage(_existing_parent(folder)).free
        level: Level = "error" if free < _NO_SPACE else "warning" if free < _LOW_SPACE else "ok"
        yield Finding(level, "disk", f"{size_text(free)} free for {folder}")


async def _database(settings: Settings, _: list[str] | None) -> AsyncIterator[Finding]:
    if settings.database_url is None:
        yield await asyncio.to_thread(_embedded, settings)
        return
    address = configured_address(settings)
    for line in address.ignored:
        yield Finding("warning", "database", f"DATABASE_URL: {line}")
    try:
        state = await inspect(address)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        yield Finding("error", "database", database_unavailable(settings, error).message)
        return
    require_usable(state, address)
    if state.revision is None:
        require_upgradable(state, address)
        yield Finding("warning", "database", "no schema yet; run `callsheet db upgrade` or `callsheet up`")
    elif not state.accepts_this_version:
        raise other_revision(state.revision, state.oldest_code)
    else:
        require_writable(state, address)
        if state.revision != HEAD:
            yield Finding(
                "warning",
                "database",
                f"the schema {state.revision} is of a newer version, which accepts this one, {HEAD}; upgrade soon",
            )
        yield Finding(
            "ok", "database", f"reachable, PostgreSQL {state.version}, schema {address.schema} {state.revision}"
        )


async def _webhooks(settings: Settings, _: list[str] | None) -> AsyncIterator[Finding]:
    """Report endpoints that are disabled or fail."""
    async with AsyncExitStack() as stack:
        address = await _running_database(settings, stack)
        if address is None:
            return
        try:
            findings = await _endpoint_findings(address)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            return  # the check of the database reports it
    for finding in findings:
        yield finding


async def _running_database(settings: Settings, stack: AsyncExitStack) -> DatabaseAddress | None:
    """Return the address of the database; None for an embedded one that does not run."""
    if settings.database_url is not None:
        return configured_address(settings)
    embedded = EmbeddedPostgres(settings.data_dir / "postgres")
    if not (settings.data_dir / "postgres").is_dir() or embedded.server_pid is None:
        return None
    address = as_address(await asyncio.to_thread(embedded.start))
    stack.push_async_callback(asyncio.to_thread, embedded.stop)
    return address


async def _endpoint_findings(address: DatabaseAddress) -> list[Finding]:
    if not (await inspect(address)).accepts_this_version:
        return []
    connection = await open_session(address)
    try:
        endpoints = await sql.list_endpoints(connection)
    finally:
        await connection.close()
    return [
        Finding(
            "warning",
            "webhooks",
            f"the endpoint {row['id']} ({redact_url(row['url'])}) is disabled ({row['disabled_reason']}); enable it "
            f"with `callsheet webhooks change {row['id']} --enable`, or delete it"
            if row["disabled_at"]
            else f"no delivery to the endpoint {row['id']} ({redact_url(row['url'])}) succeeded since "
            f"{row['failing_since']:%Y-%m-%d %H:%M} UTC; see `callsheet webhooks show {row['id']}`",
        )
        for row in endpoints
        if row["disabled_reason"] in ("failing", "gone") or (row["failing_since"] and not row["disabled_at"])
    ]


def _embedded(settings: Settings) -> Finding:
    folder = settings.data_dir / "postgres"
    if not folder.is_dir():
        return Finding("ok", "database", "embedded, will be created at the first start")
    refuse_during_restore(settings.data_dir)
    check_version(folder / "cluster")
    running = EmbeddedPostgres(folder).server_pid is not None
    return Finding("ok", "database", f"embedded in {folder}, {'running' if running else 'not running'}")


async def _storage(settings: Settings, _: list[str] | None) -> AsyncIterator[Finding]:
    if settings.s3_bucket is None and not settings.files_dir.is_dir():
        yield Finding("ok", "storage", f"local files in {settings.files_dir}, will be created")
        return
    storage = await asyncio.to_thread(open_storage, settings)
    await storage.check()
    location = f"bucket {settings.s3_bucket}" if settings.s3_bucket else f"local files in {settings.files_dir}"
    yield Finding("ok", "storage", f"{location}: write, read, list and delete work")


async def _ffmpeg(settings: Settings, _: list[str] | None) -> AsyncIterator[Finding]:
    binary = find_ffmpeg(settings)
    supported = await capabilities(binary)
    missing = [encoder for encoder in _NEEDED_ENCODERS if encoder not in supported.encoders]
    if missing:
        yield Finding(
            "warning", "ffmpeg", f"{binary} lacks {', '.join(missing)}; rendered videos will use other codecs"
        )
    else:
        yield Finding("ok", "ffmpeg", f"{supported.version} at {binary}")
    yield _sandbox(settings)


def _sandbox(settings: Settings) -> Finding:
    """Report whether decoders are restricted to the files of their job."""
    if is_sandboxed(settings.ffmpeg_sandbox):
        return Finding("ok", "sandbox", f"FFmpeg sees only the files of its job (Landlock {landlock_version()})")
    if settings.ffmpeg_sandbox == "off":
        return Finding("warning", "sandbox", "FFmpeg sees all files of this user, since FFMPEG_SANDBOX is 'off'")
    reason = "this kernel has no Landlock (Linux 5.13 or later, enabled in `lsm=`)"
    if settings.ffmpeg_sandbox == "required":
        return Finding("error", "sandbox", f"FFmpeg does not start, since FFMPEG_SANDBOX is 'required': {reason}")
    return Finding("warning", "sandbox", f"FFmpeg sees all files of this user: {reason}")


async def _operations(settings: Settings, modules: list[str] | None) -> AsyncIterator[Finding]:
    catalog = discover_operations(modules)
    missing = missing_requirements(catalog, settings)
    runnable = [operation.name for operation in catalog.operations() if operation.name not in missing]
    yield Finding("ok", "operations", ", ".join(runnable) or "none")
    for name, needs in missing.items():
        yield Finding("warning", "operations", f"{name} cannot run here. {'. '.join(needs.values())}.")


async def _bind_address(settings: Settings, _: list[str] | None) -> AsyncIterator[Finding]:
    has_keys = settings.api_key is None and await _has_keys(settings)
    require_api_key_beyond_loopback(settings, has_keys=has_keys)
    is_needed = settings.api_key is not None or has_keys
    yield Finding("ok", "bind address", "API key required" if is_needed else f"{settings.host}, without API key")


async def _has_keys(settings: Settings) -> bool:
    """Return whether the database has API keys; False if it cannot be read."""
    async with AsyncExitStack() as stack:
        address = await _running_database(settings, stack)
        if address is None:
            return False
        try:
            if not (await inspect(address)).accepts_this_version:
                return False
            connection = await open_session(address)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            return False  # the check of the database reports it
        stack.push_async_callback(connection.close)
        return bool(await sql.has_access_rules(connection))


async def _steps(settings: Settings, _modules: list[str] | None) -> AsyncIterator[Finding]:
    if settings.steps_file is None:
        return
    try:
        steps = await asyncio.to_thread(read_steps, settings)
        secrets = [await asyncio.to_thread(step.secret_bytes) for step in steps.endpoints]
    except ConfigurationError as error:
        yield Finding("error", "steps", error.message)
        return
    yield Finding("ok", "steps", f"commands: {len(steps.commands)}, endpoints: {len(steps.endpoints)}")
    for step in steps.commands:
        if shutil.which(step.command[0]) is None:
            yield Finding("warning", "steps", f"the program {step.command[0]} of the command '{step.name}' is not here")
    for endpoint, secret in zip(steps.endpoints, secrets, strict=True):
        if secret is None:
            yield Finding("warning", "steps", f"requests to the endpoint '{endpoint.name}' are not signed")


async def _source_roots(settings: Settings, _: list[str] | None) -> AsyncIterator[Finding]:
    for root in settings.source_roots:
        if not root.is_dir():
            yield Finding("warning", "source roots", f"the folder {root} does not exist")
        elif root.resolve() == Path("/"):
            yield Finding("warning", "source roots", "/ allows every plan to read every file of this machine")


async def _comfyui(settings: Settings, _: list[str] | None) -> AsyncIterator[Finding]:
    try:
        await asyncio.to_thread(default_graph, settings)
    except ConfigurationError as error:
        yield Finding("error", "ComfyUI", error.message)
    for name in stored_workflows(settings):
        try:
            await asyncio.to_thread(load_workflow, name, settings)
        except ConfigurationError as error:
            yield Finding("warning", "ComfyUI", error.message)
    if settings.comfyui_path is not None:
        yield await _managed_comfyui(settings)
    is_default = settings.comfyui_api_url is None
    if is_default and settings.comfyui_path is not None:
        return
    async with Pool(settings) as pool:
        servers = await check_servers(pool)
    for health in servers:
        if health.reason is None:
            yield Finding("ok", "ComfyUI", f"{health.server.name} is {health.state}, version {health.version}")
        elif health.server.managed is None and not is_default:
            since = f" (since {health.since:%Y-%m-%d %H:%M} UTC)" if health.since else ""
            yield Finding("warning", "ComfyUI", f"{health.server.name} is {health.state}{since}: {health.reason}")
        elif is_default:
            message = f"COMFYUI_API_URL is not set; jobs use {DEFAULT_URL}, which is {health.state}"
            yield Finding("ok", "ComfyUI", message)


async def _managed_comfyui(settings: Settings) -> Finding:
    try:
        found = await describe_installation(settings)
    except (ConfigurationError, ProviderUnreachable) as error:
        return Finding("error", "ComfyUI", error.message)
    return Finding("ok", "ComfyUI", f"a worker starts {found}")
