"""What people without a scope see in the console: buttons that they cannot use are disabled and say why."""

import re
from html.parser import HTMLParser

import pytest
from pydantic import SecretStr

from callsheet.api.route_access import ROUTE_ACCESS
from callsheet.domain.scopes import Scope

from .conftest import served
from .test_console import page

ADMIN = {"Authorization": "Bearer 0123456789abcdef-key"}


class Forms(HTMLParser):
    """Collects the buttons of forms that post: the path of the form, and whether the button is disabled."""

    def __init__(self, text):
        super().__init__()
        self.buttons, self._path = [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "form":
            self._path = given["action"] if given.get("method") == "post" else None
        if tag == "button" and given.get("type") != "button" and self._path is not None:
            self.buttons.append((self._path.partition("?")[0], given.get("title"), "disabled" in given))

    def handle_endtag(self, tag):
        if tag == "form":
            self._path = None


@pytest.fixture
async def full(settings, catalog):
    """A server with a key, and with something on each page."""
    async with served(settings.model_copy(update={"api_key": SecretStr("0123456789abcdef-key")}), catalog) as api:
        api.client.headers.update(ADMIN)
        await api.engine.start_worker()
        failed = await api.submit(("film", "fail", {"message": "x"}))
        await api.ended(failed)
        await api.client.patch("/api/queues/test", json={"paused": True})
        waiting = await api.submit(("film", "noop", {}))
        batch = {"executionPlan": {"jobs": [{"id": "a", "operation": "noop"}]}, "inputs": [{}]}
        await api.client.post("/api/batches", json=batch)
        endpoint = {"url": "https://example.com/hook", "eventTypes": ["execution.*"]}
        await api.client.post("/api/webhook-endpoints", json=endpoint)
        body = {"action": "cancel", "filter": {"operation": "unknown"}}
        action = (await api.client.post("/api/bulk-actions", json=body)).json()["id"]
        await api.client.post("/api/plans", json={"name": "card", "plan": batch["executionPlan"]})
        api.paths = [
            *(f"/executions/{each}" for each in (failed, waiting)),
            "/executions",
            "/console/bulk-actions/new?action=retry",
            f"/console/bulk-actions/{action}",
            "/console/queues/test/jobs",
            f"/jobs/{(await api.client.get(f'/api/executions/{waiting}')).json()['jobs'][0]['id']}",
            "/console/new?operation=noop",
            "/console/new/model?model=bytedance/seedance-1-pro",
            "/console/plans/card",
            *(path for route in ROUTE_ACCESS for method, path in [route.split()] if _is_plain_page(method, path)),
        ]
        yield api


def _is_plain_page(method, path):
    needs_more = ("/stream", "/new", "/new/model")
    return method == "GET" and path.startswith("/console/") and "{" not in path and not path.endswith(needs_more)


async def log_in(api, *scopes):
    created = await api.client.post("/api/keys", json={"name": "person", "scopes": list(scopes)})
    api.client.headers.pop("Authorization", None)
    assert (await api.client.post("/login", data={"key": created.json()["secret"]})).status_code == 303


def _scopes_of(path, method="POST"):
    found = [
        access.scopes
        for route, access in ROUTE_ACCESS.items()
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", route), f"{method} {path}")
    ]
    assert found, f"no route for {path}"
    return found[0]


@pytest.mark.parametrize("scopes", [("read",), ("read", "submit"), ("read", "operate")])
async def test_exactly_the_buttons_that_a_person_cannot_use_are_disabled_and_say_why(full, scopes):
    given = {Scope(scope) for scope in scopes}
    await log_in(full, *scopes)

    seen = set()
    for path in full.paths:
        if not _scopes_of(path.partition("?")[0], "GET") & given:
            assert (await full.client.get(path)).status_code == 403, path
            continue
        for target, title, is_disabled in Forms(await page(full, path)).buttons:
            needed = _scopes_of(target)
            may = not needed or bool(needed & given)
            assert is_disabled == (not may), (path, target)
            assert may or title == f"This needs the scope {' or '.join(sorted(needed))}", (path, target)
            seen.add((target.rpartition("/")[2], is_disabled))
    assert len(seen) > 12, seen
    assert any(is_disabled for _, is_disabled in seen)
    text = await page(full, "/executions")
    assert ("Cancel all that match" in text) == (Scope.OPERATE in given)
    assert ("read only" in text) == (scopes == ("read",))


async def test_streams_send_the_buttons_disabled_too(full):
    await log_in(full, "read")

    async with full.client.stream("GET", "/console/queues/stream") as response:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                assert "This needs the scope operate" in line
                break
