"""The pages of home, queues, workers, providers, intakes, webhooks and artifacts, and their actions."""

import asyncio
import html
import json
import re

from callsheet.comfyui.drain import set_drained
from callsheet.comfyui.health import check_servers
from callsheet.comfyui.pool import Pool
from callsheet.comfyui.server_records import server_record
from callsheet.fakes.comfyui import running_comfyui
from callsheet.fakes.comfyui.fake_server import VERSION
from callsheet.operation_api.catalog import Catalog

from .conftest import served
from .test_console import page, token_in


async def test_the_home_page_leads_to_what_runs_waits_and_failed(working):
    failed = await working.submit(("a", "fail", {"message": "no <i>lamp</i>"}))
    code = (await working.ended(failed))["jobs"][0]["error"]["code"]
    await working.engine.stop_worker(working.engine.workers[0])
    await working.submit(("b", "noop", {}))

    text = await page(working, "/")

    assert "no &lt;i&gt;lamp" in text
    assert "<code>no_worker</code>" in text
    assert 'href="/console/queues#queues-test">No worker serves test</a>' in text
    lists = [html.unescape(each) for each in re.findall('href="(/console/jobs[?][^"]+)"', text)]
    assert [each for each in lists if f"errorCode={code}" in each]
    for each in lists:
        shown = await page(working, each)
        waits = "queue=test" in each
        assert (failed in shown, "no_worker" in shown) == (not waits, waits), each
    assert len(lists) == 3, "all failures, those of the code, and what waits"
    moved = await working.client.get(f"/?before={failed}")
    assert moved.headers["location"] == f"/executions?before={failed}"


async def test_queues_are_paused_resumed_and_limited(api):
    await api.submit(("a", "noop", {}))
    text = await page(api, "/console/queues")
    assert "no worker serves this" in text

    async def posted(action, **fields):
        return await api.client.post(f"/console/queues/test/{action}", data={"token": token_in(text), **fields})

    async def queue():
        queues = (await api.client.get("/api/queues")).json()["queues"]
        return next((each["paused"], each["maxRunning"]) for each in queues if each["name"] == "test")

    async with api.client.stream("GET", "/console/queues/stream") as response, asyncio.timeout(20):
        assert (await posted("pause")).status_code == 303
        async for line in response.aiter_lines():
            if line.startswith("data: ") and "Resume</button>" in json.loads(line[6:]).get("html", ""):
                break
    assert await queue() == (True, None)
    assert (await posted("resume")).status_code == 303
    assert (await posted("limit", max_running="3")).status_code == 303
    assert await queue() == (False, 3)
    assert (await posted("limit", max_running="-1")).status_code == 422
    assert (await posted("rate", starts="6", seconds="60")).status_code == 303
    assert "6 starts in 1 min 0 s" in await page(api, "/console/queues")
    for wrong in (
        {"starts": "6"},
        {"seconds": "60"},
        {"starts": "0", "seconds": "60"},
        {"starts": "6", "seconds": "x"},
    ):
        assert (await posted("rate", **wrong)).status_code == 422
    assert (await posted("rate", starts="", seconds="")).status_code == 303
    assert "no rate limit" in await page(api, "/console/queues")
    assert (await posted("limit", max_running="")).status_code == 303
    assert await queue() == (False, None)
    assert (await api.client.post("/console/queues/test/pause", data={})).status_code == 401


async def test_a_worker_is_drained_gets_slots_again_and_those_of_its_settings(working):
    worker = (await working.client.get("/api/workers")).json()["workers"][0]
    text = await page(working, "/console/workers")
    assert worker["name"] in text

    async def lanes_after(action, **fields):
        address = f"/console/workers/{worker['id']}/{action}"
        assert (await working.client.post(address, data={"token": token_in(text), **fields})).status_code == 303
        return (await working.client.get("/api/workers")).json()["workers"][0]["lanes"]

    assert "Reset slots" not in text
    assert await lanes_after("drain") == {"test": 0}
    assert await lanes_after("lanes", **{"lane.test": "2"}) == {"test": 2}
    assert "Reset slots" in await page(working, "/console/workers")
    assert await lanes_after("reset-lanes") == worker["lanes"] == {"test": 8}
    assert "Reset slots" not in await page(working, "/console/workers")


async def test_the_other_pages_show_artifacts_webhooks_providers_and_intakes(working):
    execution_id = await working.submit(("a", "write", {"name": "<b>.png", "text": "x"}))
    await working.ended(execution_id)
    receiver = {"url": "https://example.com/hook?<x>", "eventTypes": ["job.*"]}
    endpoint = (await working.client.post("/api/webhook-endpoints", json=receiver)).json()["id"]

    gallery = await page(working, "/console/artifacts?kind=image&execution=")
    assert "&lt;b&gt;.png" in gallery
    assert '<img src="http' in gallery
    assert execution_id in gallery
    assert "No artifact matches" in await page(working, "/console/artifacts?kind=video")
    text = await page(working, "/console/webhooks?status=&endpoint=")
    assert "https://example.com/hook?&lt;x&gt;" in text
    data = {"token": token_in(text)}
    tested = await working.client.post(f"/console/webhooks/endpoints/{endpoint}/test", data=data)
    delivery = await page(working, tested.headers["location"])
    assert "webhook.test" in delivery
    resent = await working.client.post(f"{tested.headers['location']}/resend", data=data)
    assert resent.headers["location"] == tested.headers["location"]
    await working.client.post(f"/console/webhooks/endpoints/{endpoint}/disable", data=data)
    assert ">disabled</span>" in await page(working, "/console/webhooks")
    assert "replicate" in await page(working, "/console/providers")
    assert "callsheet intake" in await page(working, "/console/intakes")


async def test_comfyui_servers_are_listed_alike_by_api_console_and_command(settings, tmp_path, monkeypatch):
    async with running_comfyui(tmp_path / "fake") as server:
        urls = f"{server.url}#name=here&tags=wan,http://127.0.0.1:9#name=<b>,{server.url}#name=rested&capacity=2"
        changed = settings.model_copy(update={"comfyui_api_url": urls, "port": 0})
        set_drained(changed, "rested", drained=True)
        async with served(changed, Catalog([])) as api:
            listed = (await api.client.get("/api/comfyui/servers")).json()
            text = await page(api, "/console/providers")
            async with api.client.stream("GET", "/console/providers/stream") as response, asyncio.timeout(20):
                set_drained(changed, "rested", drained=False)
                async for line in response.aiter_lines():
                    if line.startswith("data: ") and '"comfyui-servers-rested"' in line and "reachable" in line:
                        break
        async with Pool(changed) as pool:
            records = [server_record(health) for health in await check_servers(pool)]

    states = {each["name"]: each["state"] for each in listed["servers"]}
    assert states == {"here": "reachable", "<b>": "unreachable", "rested": "drained"}
    assert listed["problem"] is None
    here, gone, rested = listed["servers"]
    assert (here["version"], here["tags"], here["reason"], rested["queue"]) == (VERSION, ["wan"], None, 0)
    assert "does not respond" in gone["reason"]
    assert rested["since"] is not None
    assert "&lt;b&gt;" in text and "unreachable" in text and "callsheet comfyui resume" in text
    expected = {"here": here, "<b>": gone}
    assert {each.name: each.model_dump(mode="json") for each in records if each.name in expected} == expected


async def test_an_invalid_address_of_comfyui_servers_is_reported(settings):
    changed = settings.model_copy(update={"comfyui_api_url": "ftp://me:secret@gpu", "port": 0})
    async with served(changed, Catalog([])) as api:
        listed = (await api.client.get("/api/comfyui/servers")).json()
        text = await page(api, "/console/providers")

    assert listed["servers"] == []
    assert "COMFYUI_API_URL" in listed["problem"] and "secret" not in listed["problem"]
    assert "COMFYUI_API_URL" in text and "secret" not in text
