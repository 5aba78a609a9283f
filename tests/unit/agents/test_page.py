"""The page about agents names what there is."""

import re
from pathlib import Path

import callsheet
from callsheet.agents.server import build_server

PAGE = Path(__file__).parents[3] / "docs" / "agents.md"


async def test_the_page_lists_all_tools_and_names_existing_resources():
    page = PAGE.read_text()
    async with callsheet.Client("http://127.0.0.1:9") as client:
        server = build_server(client)
        tools = [tool.name for tool in await server.list_tools()]
        resources = {resource.uri for resource in await server.list_resources()}

    assert re.findall(r"^\| `([a-z_]+)` \|", page, re.MULTILINE) == tools
    assert {"callsheet://examples/two-clips", "callsheet://plan.schema.json"} <= resources
