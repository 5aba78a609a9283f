"""Attempts to get in or out of place, on every route: spellings of paths, forged forms, redirects, stored scripts.

Keys are tried on every route by `test_route_access`, hostile values by `test_hostile_requests`. Each test here walks
over the table of routes, so that a new route is tried without a change.
"""

import asyncio
import json
import logging
import re
from html import unescape
from urllib.parse import quote, urlencode, urlsplit

import pytest
from pydantic import SecretStr

from callsheet import console
from callsheet.api.route_access import ROUTE_ACCESS, is_writing
from callsheet.domain.model import Model
from callsheet.operation_api.catalog import Catalog
from callsheet.operation_api.contract import operation
from callsheet.operations.approve import approve
from callsheet.testing.operations import ALL, QUEUE, AnyValue

from .conftest import served
from .test_console import token_in
from .test_route_access import url_of

KEY = "0123456789abcdef-key"
BEARER = {"Authorization": f"Bearer {KEY}"}
SCRIPT = "\"'><img src=x onerror=alert(1)>"
EVIL = "https://evil.example"
REFUSED = (400, 401, 403, 404, 405, 411, 413, 415, 422)
SECRETS = ("root:x:0:0", "[project]", "BEGIN PRIVATE KEY")
"""What the files have that the paths below lead to."""


@operation("speak", queue=QUEUE)
async def speak(job, params: AnyValue) -> AnyValue:
    """Report, log and return a value, then wait for nothing."""
    job.progress(0.5, str(params.value))
    logging.getLogger("speak").info("%s", params.value)
    return AnyValue(value=params.value)


class Nothing(Model):
    """No params."""


@pytest.fixture
def catalog():
    return Catalog([*ALL, approve, speak])


@pytest.fixture
async def locked(settings, catalog):
    """A server with a key and with the data of its own, and a worker."""
    changed = {"api_key": SecretStr(KEY), "public_url": f"http://127.0.0.1:{settings.port}"}
    async with served(settings.model_copy(update=changed), catalog) as api:
        yield api


async def log_in(api):
    api.client.cookies.clear()
    answer = await api.client.post("/login", data={"key": KEY})
    assert answer.status_code == 303
    return token_in((await api.client.get("/console/queues")).text)


async def sent(api, method, target, **options):
    """Send a request with exactly this path: the client would remove its dots."""
    request = api.client.build_request(method, "/", extensions={"target": target.encode()}, **options)
    return await api.client.send(request)


def spellings(path):
    """Return other spellings of a path, of which a server could miss that they need a key."""
    first, _, rest = path[1:].partition("/")
    yield from (f"/{path}", f"/health/..{path}", f"/static/../{path[1:]}", f"/static/%2e%2e{path}", f"/.{path}")
    yield f"/{quote(first[:1].upper() + first[1:])}/{rest}"
    yield "/" + "".join(f"%{ord(letter):02x}" for letter in first) + (f"/{rest}" if rest else "")
    yield from (f"{path}%00", f"{path};x=/health", f"{path}%3f/health", f"{path}%2f..%2fhealth", f"{path}#/health")


async def test_no_spelling_of_a_path_avoids_the_key(locked):
    plan = {"executionPlan": {"jobs": [{"id": "secret-of-the-plan", "operation": "noop"}]}}
    execution_id = (await locked.client.post("/api/executions", json=plan, headers=BEARER)).json()["executionId"]
    tried = 0
    for route, access in ROUTE_ACCESS.items():
        method, _, path = route.partition(" ")
        if access.is_open:
            continue
        for spelling in spellings(re.sub(r"\{[^}]+\}", execution_id, path)):
            answer = await sent(locked, method, spelling, content=b"{}" if is_writing(method) else None)
            assert answer.status_code in REFUSED or _leads_to_login(answer), (route, spelling, answer.status_code)
            assert "secret-of-the-plan" not in answer.text, (route, spelling)
            tried += 1
    assert tried > 1000


def _leads_to_login(answer):
    return answer.status_code in (303, 307) and urlsplit(answer.headers["location"]).netloc in (
        "",
        answer.url.netloc.decode(),
    )


TRICKS = (
    *("../../../../../../etc/passwd", "..%2f..%2f..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/%2e%2e/etc/passwd"),
    *(
        "..%5c..%5cetc%5cpasswd",
        "..%252f..%252fetc%252fpasswd",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "file:%2f%2f%2fetc/passwd",
    ),
    *("....//....//etc/passwd", "..%c0%af..%c0%afetc/passwd", "../pyproject.toml", "..%00/pyproject.toml"),
)


async def test_no_path_leads_to_a_file_of_the_machine(locked):
    paths = [path for method, _, path in (route.partition(" ") for route in ROUTE_ACCESS) if method == "GET"]
    # The static files, and the parts of paths that are values.
    starts = {"/static/", "/static/swagger-ui/", "/files/uploads/", *(p.partition("{")[0] for p in paths if "{" in p)}
    assert len(starts) > 20
    for start in sorted(starts):
        for trick in TRICKS:
            answer = await sent(locked, "GET", f"{start}{trick}", headers=BEARER)
            assert answer.status_code < 500, (start, trick)
            assert not any(secret in answer.text for secret in SECRETS), (start, trick)


def form_routes():
    routes = [f"POST {r.path}" for router in console.ROUTERS for r in router.routes if "POST" in r.methods]
    # A signed link takes the place of a session and its token; the login begins a session.
    return sorted({*routes} - {"POST /login", "POST /approvals/{approval_id}"})


async def test_no_form_is_taken_without_the_token_of_its_session(locked):
    other = await log_in(locked)
    token = await log_in(locked)
    assert token != other
    assert len(form_routes()) > 15
    for route in form_routes():
        path = url_of(route.partition(" ")[2])
        for forged in ({}, {"token": ""}, {"token": "guessed"}, {"token": other}, {"token": f"{token}x"}):
            answer = await locked.client.post(path, data=forged)
            assert answer.status_code == 401, (route, forged)
            assert "The form is expired" in answer.text, (route, forged)
        foreign = await locked.client.post(path, data={"token": token}, headers={"Origin": EVIL})
        assert foreign.status_code == 403, route


async def test_no_route_of_the_api_is_written_with_a_cookie_alone(locked):
    token = await log_in(locked)
    writes = [
        route for route, access in ROUTE_ACCESS.items() if "/api/" in route or "/v1/" in route if not access.is_open
    ]
    for route in writes:
        method, _, path = route.partition(" ")
        if not is_writing(method):
            continue
        for headers in ({}, {"X-CSRF-Token": "guessed"}, {"X-CSRF-Token": token[::-1]}):
            answer = await locked.client.request(method, url_of(path), content=b"{}", headers=headers)
            assert answer.status_code == 401, (route, headers)
        foreign = {"X-CSRF-Token": token, "Origin": EVIL}
        answer = await locked.client.request(method, url_of(path), content=b"{}", headers=foreign)
        assert answer.status_code == 403, route


async def test_no_route_redirects_to_another_site(locked):
    targets = (EVIL, "//evil.example", "/\\evil.example", "/\t/evil.example", "/%5cevil.example", "https:evil.example")
    own = str(locked.client.base_url).rstrip("/")
    token = await log_in(locked)
    redirected = 0
    for route in ROUTE_ACCESS:
        method, _, path = route.partition(" ")
        if "stream" in path or "/events" in path or "/logs" in path:
            continue
        plain = url_of(path)
        # The spelling of the path and the value of a parameter are independent: each varies with the other as it is.
        for address, target in [(plain, each) for each in targets] + [
            (f"//evil.example{plain}", EVIL),
            (f"{plain}/", EVIL),
        ]:
            names = dict.fromkeys(("next", "url", "return", "redirect", "to", "before"), target)
            answer = await sent(
                locked,
                method,
                f"{address}?{urlencode(names)}",
                headers={"Accept": "text/html", "X-Forwarded-Host": "evil.example"},
                data={"token": token, **names} if is_writing(method) else None,
            )
            place = answer.headers.get("location", "/")
            redirected += "location" in answer.headers
            assert place.startswith((f"{own}/", "/")) and not re.match(r"/[/\\\s]|/%5c", place), (route, address, place)
    assert redirected > 20


async def test_no_page_and_no_stream_shows_a_stored_script_as_markup(locked):
    api = locked
    api.client.headers.update(BEARER)
    await api.engine.start_worker(name=SCRIPT)
    paths = await _store_scripts(api)
    checked = 0
    for route in sorted({r.path for router in console.ROUTERS for r in router.routes if "GET" in r.methods}):
        found = [path for path in paths if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", route), path.partition("?")[0])]
        assert found or "{" not in route, f"no example of {route}"
        for path in found or [route]:
            text = await _text_of(api, path)
            assert "<img src=x" not in text, path
            checked += SCRIPT in unescape(text)
    assert checked > 12, "the pages show the texts"


async def _store_scripts(api):
    """Store the script wherever a text can be stored; return the paths with examples."""
    client = api.client

    async def send(path, body):
        answer = await client.post(path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def job(id, kind, **params):
        return {"id": id, "operation": kind, "params": params}

    jobs = [
        job("say", "speak", value=SCRIPT),
        job("no", "fail", message=SCRIPT),
        job("ask", "approve", title=SCRIPT, text=SCRIPT),
    ]
    jobs += [{**job("file", "write", name="a.txt", text=SCRIPT), "continueOnFailure": True}]
    plan = {"executionPlan": {"name": SCRIPT, "jobs": jobs}, "metadata": {SCRIPT: SCRIPT}}
    execution = (await send("/api/executions", plan))["executionId"]
    approval = (await api.event(execution, "job.approval_requested")).data["approval"]
    for name in ("say", "file"):
        await api.event(execution, "job.succeeded", job=name)
    await api.event(execution, "job.failed", job="no")
    stored = {"name": SCRIPT, "description": SCRIPT, "inputs": {"a": {"description": SCRIPT, "default": SCRIPT}}}
    await send("/api/plans", {"name": "script", "plan": {**stored, "jobs": [job("a", "noop", value="${inputs.a}")]}})
    batch = await send("/api/plans/script/batches", {"inputs": [{"a": SCRIPT}], "name": SCRIPT})
    endpoint = await send("/api/webhook-endpoints", {"url": "https://example.com/?<img", "description": SCRIPT})
    delivery = await send(f"/api/webhook-endpoints/{endpoint['id']}/test", None)
    await client.patch("/api/queues/test", json={"paused": True})
    await send("/api/executions", {"executionPlan": {"name": SCRIPT, "jobs": [job("later", "noop")]}})
    action = await send("/api/bulk-actions", {"action": "retry", "filter": {"search": SCRIPT}})
    schedule = {"description": SCRIPT, "cron": "0 0 1 1 *", "plan": "script", "inputs": {"a": SCRIPT}}
    answer = await client.put("/api/schedules/script", json=schedule)
    assert answer.status_code < 300, answer.text
    running = (await client.get(f"/api/executions/{execution}")).json()
    file = running["artifacts"][0]["artifactId"]
    question = (await client.get(f"/api/approvals/{approval}")).json()
    return [
        *(
            f"/executions/{execution}",
            f"/executions?batch={batch['id']}",
            f"/executions?search={quote(SCRIPT)}",
            "/executions",
        ),
        *(f"/jobs/{each['id']}" for each in running["jobs"]),
        *(
            f"/console/stream/{execution}",
            f"/console/new?from={execution}",
            "/console/new?operation=noop",
            "/console/new",
        ),
        *(
            f"/console/compare?file={file}&file={file}",
            f"/console/artifacts?search={quote(SCRIPT)}",
            f"/console/artifacts?like={file}",
        ),
        *(f"/console/approvals/{approval}", urlsplit(question["url"])._replace(scheme="", netloc="").geturl()),
        *(
            "/console/plans/script",
            f"/console/webhooks/deliveries/{delivery['id']}",
            f"/console/webhooks?endpoint={endpoint['id']}",
        ),
        *(
            f"/console/winners?q={quote(SCRIPT)}&tenant=t",
            f"/login?next=/{quote(SCRIPT)}",
            f"/console/bulk-actions/{action['id']}",
            f"/console/bulk-actions/{action['id']}/stream",
            "/console/schedules/script",
            "/console/queues/test/jobs",
            "/console/queues/test/jobs/stream",
        ),
    ]


async def _text_of(api, path):
    """Return a page, or what an event stream sends in its first seconds."""
    headers = {"Accept": "text/html"}
    if "/stream" not in path:
        answer = await api.client.get(path, headers=headers)
        assert answer.status_code < 500, path
        return answer.text
    messages = []
    try:
        async with asyncio.timeout(2), api.client.stream("GET", path) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    messages.append(json.loads(line[6:]).get("html", ""))
    except TimeoutError:
        pass
    # No intake runs here.
    assert messages or path == "/console/intakes/stream", path
    return "".join(messages)
