"""Resources: the example plans of the package, and the schemas of the server."""

from typing import Any

import orjson
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.resources import TextResource

from callsheet.client.client import Client
from callsheet.client.url_paths import path_part
from callsheet.ready_plans.example_plans import example_plans

_JSON = "application/json"


def add_resources(server: MCPServer[Any], client: Client) -> None:
    """Add the resources to a server."""
    for name, file in example_plans().items():
        text = file.read_text("utf-8")
        server.add_resource(
            TextResource(
                uri=f"callsheet://examples/{name}",
                name=f"Example plan: {name}",
                description=_first_comment(text),
                mime_type="application/yaml",
                text=text,
            )
        )

    @server.resource(
        "callsheet://plan.schema.json",
        name="JSON Schema of plans",
        description="Schema of plans, with the params of every operation of this server",
        mime_type=_JSON,
    )
    async def plan_schema() -> str:
        return await _json(client, "/api/plan.schema.json")

    @server.resource(
        "callsheet://operations/{name}",
        name="Operation",
        description="JSON Schemas of the params and the result of an operation",
        mime_type=_JSON,
    )
    async def operation(name: str) -> str:
        return await _json(client, f"/api/operations/{path_part('name', name)}")


async def _json(client: Client, path: str) -> str:
    return orjson.dumps(await client.request("GET", path)).decode()


def _first_comment(text: str) -> str:
    """Return the comment at the head of an example, which says what it does."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines)
