"""`callsheet mcp`: lets an agent use a running server."""

import signal
from typing import Annotated

import typer

from callsheet.cli.options import ApiKey, Url

Host = Annotated[str, typer.Option("--host", help="With --http: address to listen on")]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="With --http: port to listen on, 0 for a free one")]


def mcp(
    context: typer.Context,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Leave out the tools that submit, cancel and retry")
    ] = False,
    http: Annotated[
        bool, typer.Option("--http", help="Serve HTTP at /mcp instead of the standard streams (CALLSHEET_MCP_KEY)")
    ] = False,
    host: Host = "127.0.0.1",
    port: Port = 8600,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Let an agent use a running server, through the Model Context Protocol (MCP).

    The program of the agent starts this command and talks to it over the standard streams. It needs the extra `mcp`.
    """
    from callsheet.cli.bootstrap import load_settings
    from callsheet.cli.listener import bind
    from callsheet.cli.loop import on_stop_signals, run_async
    from callsheet.cli.printing import say
    from callsheet.client.client import Client
    from callsheet.domain.errors import ConfigurationError
    from callsheet.logs import configure_logging

    configure_logging("debug" if context.obj else "warning")
    settings = load_settings()
    try:
        from callsheet.agents.http import PATH, http_app, make_http_server
        from callsheet.agents.server import build_server
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        raise ConfigurationError(
            f"`callsheet mcp` needs the package '{error.name}': pip install 'callsheet[mcp]'"
        ) from None

    async def serve_http() -> None:
        async with Client(url, api_key) as client:
            key = settings.mcp_key.get_secret_value() if settings.mcp_key else None
            server = make_http_server(http_app(build_server(client, read_only=read_only), host, key))
            on_stop_signals(server.stop)
            with bind(host, port) as listener:
                say(f"Agents connect to http://{host}:{listener.getsockname()[1]}{PATH}{' with a key' if key else ''}")
                await server.serve(sockets=[listener])

    async def serve_streams() -> None:
        # A thread blocks in the read of the standard input; only the default action ends the process at once.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        async with Client(url, api_key) as client:
            await build_server(client, read_only=read_only).run_stdio_async()

    run_async(serve_http() if http else serve_streams())
