"""ComfyUI: workflows, servers, and the server that a worker starts."""

import asyncio
from collections.abc import AsyncIterator

from callsheet.cli.diagnostics.findings import Finding, ok
from callsheet.cli.diagnostics.installation import Installation
from callsheet.comfyui.health import ServerHealth, check_servers
from callsheet.comfyui.hosts import DEFAULT_URL
from callsheet.comfyui.pool import Pool
from callsheet.comfyui.server_command import describe_installation
from callsheet.comfyui.workflows import default_graph, load_workflow, stored_workflows
from callsheet.domain.errors import ConfigurationError, ProviderUnreachable
from callsheet.settings import Settings

_START = "start the server, and check COMFYUI_API_URL; see `callsheet comfyui list`"


async def comfyui(installation: Installation) -> AsyncIterator[Finding]:
    """Report workflows that cannot be used, and the health of the servers."""
    settings = installation.settings
    async for finding in _workflows(settings):
        yield finding
    if settings.comfyui_path is not None:
        yield await _managed_server(settings)
    is_default = settings.comfyui_api_url is None
    if is_default and settings.comfyui_path is not None:
        return
    async with Pool(settings) as pool:
        servers = await check_servers(pool)
    for health in servers:
        if (found := _server_finding(health, is_default=is_default)) is not None:
            yield found


async def _workflows(settings: Settings) -> AsyncIterator[Finding]:
    try:
        await asyncio.to_thread(default_graph, settings)
    except ConfigurationError as error:
        yield Finding("comfyui.invalid", error.message, "correct COMFYUI_VIDEO_WORKFLOW_JSON")
    for name in stored_workflows(settings):
        try:
            await asyncio.to_thread(load_workflow, name, settings)
        except ConfigurationError as error:
            yield Finding("comfyui.bad_workflow", error.message, "correct the file, or remove it")


def _server_finding(health: ServerHealth, *, is_default: bool) -> Finding | None:
    if health.reason is None:
        return ok("comfyui", f"{health.server.name} is {health.state}, version {health.version}")
    if is_default:
        return ok("comfyui", f"COMFYUI_API_URL is not set; jobs use {DEFAULT_URL}, which is {health.state}")
    if health.server.managed is not None:
        return None
    since = f" (since {health.since:%Y-%m-%d %H:%M} UTC)" if health.since else ""
    message = f"{health.server.name} is {health.state}{since}: {health.reason}"
    return Finding("comfyui.unavailable", message, _START)


async def _managed_server(settings: Settings) -> Finding:
    try:
        found = await describe_installation(settings)
    except (ConfigurationError, ProviderUnreachable) as error:
        return Finding("comfyui.invalid", error.message, "correct COMFYUI_PATH; see docs/first-picture-on-your-gpu.md")
    return ok("comfyui", f"a worker starts {found}")
