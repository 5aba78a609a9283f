"""Which requests use the proxies of the environment, and how failures name them."""

import ast
import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import obstore
import pytest

import callsheet
from callsheet.cli.remote import ApiClient
from callsheet.client.errors import Unreachable
from callsheet.domain.errors import ProviderUnreachable, StorageUnreachable
from callsheet.files.bucket import open_bucket
from callsheet.files.fetch import fetch
from callsheet.files.storage import open_storage
from callsheet.http_clients import async_client, describe_error, proxy_for, sync_client
from callsheet.providers.http.client import ProviderClient
from callsheet.providers.http.hosts import ProviderHosts
from callsheet.providers.http.transport import static_headers
from callsheet.providers.webhooks.jwks import Jwks
from callsheet.settings import Settings

OFF = "http://ann:geheim-im-proxy@127.0.0.1:1"
VARIABLES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"]


class _Web(BaseHTTPRequestHandler):
    """Responds to every request, as a server or as a proxy for http:// URLs."""

    def do_GET(self):
        self.server.requested.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "2")
        self.send_header("ETag", '"1"')
        self.end_headers()
        self.wfile.write(b"{}")

    do_PUT = do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def web():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Web)
    server.requested, server.status = [], 200
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


def provider(url):
    return ProviderClient("acme", ProviderHosts(url), Settings(_env_file=None), auth=static_headers())


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8500/",
        "http://127.0.0.1:8500/",
        "http://127.8.9.10/",
        "http://[::1]:8500/",
        "http://[::ffff:127.0.0.1]/",
        "http://0.0.0.0:8500/",
        "http://films.localhost/",
        "http://LOCALHOST./",
    ],
)
def test_this_machine_is_never_reached_through_a_proxy(url, environment):
    for name in VARIABLES[:3]:
        environment.setenv(name, OFF)

    assert proxy_for(httpx2.URL(url)) is None


@pytest.mark.parametrize(
    ("variables", "url", "expected"),
    [
        ({}, "https://api.example.com/", None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "https://api.example.com/", "HTTPS_PROXY"),
        ({"https_proxy": "http://proxy:3128"}, "https://api.example.com/", "https_proxy"),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://api.example.com/", None),
        ({"HTTP_PROXY": "http://proxy:3128", "ALL_PROXY": "socks5://p:1080"}, "https://a.example.com/", "ALL_PROXY"),
        ({"HTTPS_PROXY": "", "ALL_PROXY": "http://proxy"}, "https://api.example.com/", "ALL_PROXY"),
    ],
)
def test_the_variable_of_the_scheme_comes_before_all_proxy(variables, url, expected, environment):
    for name, value in variables.items():
        environment.setenv(name, value)

    proxy = proxy_for(httpx2.URL(url))

    assert (proxy.variable if proxy else None) == expected


@pytest.mark.parametrize(
    ("no_proxy", "url", "excluded"),
    [
        ("*", "https://api.example.com/", True),
        ("example.com", "https://api.example.com/", True),
        (".example.com", "https://api.example.com/", True),
        ("*.example.com", "https://api.example.com/", True),
        ("other.com, api.example.com", "https://API.example.com/", True),
        ("example.com:443", "https://example.com/", True),
        ("example.com:8443", "https://example.com/", False),
        ("ample.com", "https://example.com/", False),
        ("10.0.0.0/8", "https://10.1.2.3/", True),
        ("10.0.0.0/8", "https://11.1.2.3/", False),
        ("fd00::/8", "https://[fd00::5]/", True),
        ("[fd00::5]", "https://[fd00::5]/", True),
        (" , ", "https://example.com/", False),
    ],
)
def test_no_proxy_excludes_hosts_domains_addresses_and_networks(no_proxy, url, excluded, environment):
    environment.setenv("HTTPS_PROXY", "http://proxy:3128")
    environment.setenv("NO_PROXY", no_proxy)

    assert (proxy_for(httpx2.URL(url)) is None) == excluded


async def test_requests_to_the_outside_go_through_the_proxy(web, environment):
    environment.setenv("HTTP_PROXY", web.url)

    async with async_client() as client:
        response = await client.get("http://api.example.com/films")

    assert (response.status_code, web.requested) == (200, ["http://api.example.com/films"])


@pytest.mark.parametrize("value", [OFF, "socks5://127.0.0.1:1", "nonsense://x", "http://[", "::"])
async def test_every_client_reaches_this_machine_whatever_the_proxy_variables_say(value, web, environment):
    for name in VARIABLES[:3]:
        environment.setenv(name, value)
    settings = Settings(_env_file=None, s3_bucket="films", s3_endpoint=web.url, s3_access_key="a", s3_secret_key="b")
    http = provider(web.url)

    assert (await http.get("GET", "/tasks")).status == 200
    assert await asyncio.to_thread(ApiClient(web.url, None).get, "/readyz") == {}
    await obstore.put_async(open_bucket(settings, "films"), "a", b"1")
    await http.close()

    assert len(web.requested) == 3


@pytest.mark.parametrize("value", [OFF, "socks5://ann:geheim-im-proxy@127.0.0.1:1"])
async def test_a_failure_through_a_proxy_names_its_variable_and_not_its_password(value, environment):
    environment.setenv("HTTPS_PROXY", value)
    http = provider("https://api.example.com")
    messages = []

    for request in (http.submit("POST", "/tasks", json={}), http.get("GET", "/tasks")):
        with pytest.raises(ProviderUnreachable) as raised:
            await request
        messages.append(raised.value.message)
    with pytest.raises(ProviderUnreachable) as raised:
        await Jwks("https://keys.example.com/jwks.json").verify(len)
    messages.append(raised.value.message)
    with pytest.raises(Unreachable) as unreachable:
        ApiClient("https://films.example.com", None).get("/readyz")
    messages.append(unreachable.value.message)
    await http.close()

    for message in messages:
        assert "through the proxy 127.0.0.1:1 of HTTPS_PROXY" in message
        assert "geheim" not in message


@pytest.mark.parametrize("value", ["nonsense://ann:geheim@x", "http://", "ftp://127.0.0.1"])
async def test_an_unusable_proxy_variable_is_named_and_nothing_is_sent(value, environment):
    environment.setenv("HTTPS_PROXY", value)
    http = provider("https://api.example.com")

    with pytest.raises(ProviderUnreachable, match="HTTPS_PROXY is not the URL of a proxy") as raised:
        await http.submit("POST", "/tasks", json={})
    await http.close()

    assert "geheim" not in raised.value.message


def test_a_proxy_that_requires_a_login_is_no_response_of_the_server(web, environment):
    environment.setenv("HTTP_PROXY", web.url)
    web.status = 407

    with sync_client() as client, pytest.raises(httpx2.ProxyError) as raised:
        client.get("http://api.example.com/")

    assert describe_error(raised.value).endswith("of HTTP_PROXY requires a user and a password")


async def test_the_bucket_is_reached_through_the_proxy_and_its_errors_name_the_variable(web, environment):
    environment.setenv("HTTP_PROXY", web.url)
    settings = Settings(
        _env_file=None, s3_bucket="films", s3_endpoint="http://s3.example.com", s3_access_key="a", s3_secret_key="b"
    )

    await obstore.put_async(open_bucket(settings, "films"), "a", b"1")
    assert web.requested == ["http://s3.example.com/films/a"]

    environment.setenv("HTTP_PROXY", OFF)
    environment.setattr("callsheet.files.bucket._RETRY", {"max_retries": 0})
    with pytest.raises(StorageUnreachable) as raised:
        async for _ in open_storage(settings).stream("a"):
            pass
    assert "through the proxy 127.0.0.1:1 of HTTP_PROXY" in raised.value.message
    assert "geheim" not in raised.value.message


async def test_downloads_of_client_urls_never_use_a_proxy(web, environment, tmp_path):
    environment.setenv("HTTP_PROXY", OFF)
    settings = Settings(_env_file=None, allow_http=True, allow_private_addresses=True)

    await fetch(f"{web.url}/clip", tmp_path / "clip", settings)

    assert web.requested == ["/clip"]


def test_http_clients_are_created_in_one_place_only():
    root = Path(callsheet.__file__).parent
    calls = {"AsyncClient", "Client", "get", "put", "post", "request", "stream"}
    found = [
        f"{path.relative_to(root)}:{node.lineno}"
        for path in root.rglob("*.py")
        if path.relative_to(root).parts[0] not in ("http_clients.py", "fakes", "testing")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "httpx2"
        and node.func.attr in calls
    ]

    assert found == []
