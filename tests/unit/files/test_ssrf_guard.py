import ssl
from collections.abc import Awaitable, Callable

import httpx2
import pytest
import trustme

from callsheet.domain.errors import BadSource
from callsheet.files.ssrf_guard import guarded_client, is_public, is_public_host
from callsheet.settings import Settings

from .conftest import MakeSettings
from .web_servers import RedirectingBackend, Request, serve

PUBLIC, OTHER_PUBLIC = "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"


@pytest.mark.parametrize("address", [PUBLIC, OTHER_PUBLIC, "8.8.8.8", "::ffff:8.8.8.8", "172.32.0.1"])
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "100.127.255.254", "192.0.0.8", "192.0.2.1", "198.18.0.1"),
        *("224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1"),
        *("::ffff:169.254.169.254", "::7f00:1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254"),
        *("fec0::1", "ff02::1", "ff0e::1", "2001:db8::1", "64:ff9b::7f00:1", "64:ff9b:1::1"),
        *("2002:7f00:1::", "2001:0:7f00:1::", "100::1"),
    ],
)
def test_a_private_address_is_not_public_in_any_notation(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("host", ["example.com", "EXAMPLE.com.", PUBLIC, OTHER_PUBLIC])
def test_a_public_name_or_address_is_a_public_host(host: str) -> None:
    assert is_public_host(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", "localhost", "minio", "nas.local", "NAS.LOCAL.", "db.internal", "a.localhost"),
        *("10.0.0.1", "::ffff:10.0.0.1", "100.64.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"),
    ],
)
def test_a_local_name_or_private_address_is_not_a_public_host(host: str) -> None:
    assert not is_public_host(host)


def resolving_to(*found: str) -> Callable[[str, int], Awaitable[list[str]]]:
    async def resolve(host: str, port: int) -> list[str]:
        return list(found)

    return resolve


async def hello(request: Request) -> None:
    await request.respond(body=b"hello")


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "127.0.0.1", "2130706433", "0x7f.1", "0x7f000001", "017700000001", "127.1"),
        *("0", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "169.254.169.254", "[64:ff9b::7f00:1]"),
    ],
)
async def test_a_local_host_is_rejected_in_every_notation(settings: Settings, host: str) -> None:
    async with (
        serve(hello) as server,
        guarded_client(settings, backend=(backend := RedirectingBackend(server.port))) as client,
    ):
        with pytest.raises(BadSource, match="private or local"):
            await client.get(f"http://{host}/")

        assert backend.connected == [] and server.requests == []


async def test_one_private_address_among_public_ones_rejects_the_host(settings: Settings) -> None:
    async with serve(hello) as server:
        backend = RedirectingBackend(server.port)
        async with guarded_client(settings, resolve=resolving_to(PUBLIC, "10.0.0.1"), backend=backend) as client:
            with pytest.raises(BadSource, match="private or local") as caught:
                await client.get("http://example.com/")

    assert backend.connected == []
    assert "10.0.0.1" not in str(caught.value)


async def test_the_connection_goes_to_the_checked_address(settings: Settings) -> None:
    answers = iter([[PUBLIC], ["127.0.0.1"]])

    async def rebinding(host: str, port: int) -> list[str]:
        return next(answers)

    async with serve(hello) as server:
        backend = RedirectingBackend(server.port)
        async with guarded_client(settings, resolve=rebinding, backend=backend) as client:
            response = await client.get("http://example.com/x")

    assert response.text == "hello"
    assert backend.connected == [(PUBLIC, 80)]
    assert server.requests[0].headers["host"] == "example.com"


async def test_the_second_address_is_tried_when_the_first_is_unreachable(settings: Settings) -> None:
    async with serve(hello) as server:
        backend = RedirectingBackend(server.port, unreachable=[OTHER_PUBLIC])
        async with guarded_client(settings, resolve=resolving_to(OTHER_PUBLIC, PUBLIC), backend=backend) as client:
            response = await client.get("http://example.com/")

    assert response.status_code == 200
    assert backend.connected == [(OTHER_PUBLIC, 80), (PUBLIC, 80)]


async def test_an_unusual_port_is_rejected(settings: Settings) -> None:
    async with guarded_client(settings, resolve=resolving_to(PUBLIC)) as client:
        with pytest.raises(BadSource, match="Port 6379"):
            await client.get("http://example.com:6379/")


async def test_private_addresses_and_ports_are_allowed_by_the_settings(
    make_settings: MakeSettings,
) -> None:
    async with (
        serve(hello) as server,
        guarded_client(make_settings(allow_private_addresses=True)) as client,
    ):
        response = await client.get(f"http://localhost:{server.port}/")

    assert response.text == "hello"


async def test_a_post_keeps_its_body_and_does_not_follow_redirects(make_settings: MakeSettings) -> None:
    async def redirect(request: Request) -> None:
        await request.respond(307, Location="http://169.254.169.254/latest/meta-data")

    async with (
        serve(redirect) as server,
        guarded_client(make_settings(allow_private_addresses=True)) as client,
    ):
        response = await client.post(server.url("/hook"), json={"a": 1}, headers={"webhook-id": "1"})

    assert response.status_code == 307
    assert server.requests[0].body == b'{"a":1}' and server.requests[0].headers["webhook-id"] == "1"
    assert len(server.requests) == 1


async def test_proxy_variables_of_the_environment_are_ignored(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(hello) as proxy, serve(hello) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url("/"))
        monkeypatch.setenv("ALL_PROXY", proxy.url("/"))
        async with guarded_client(
            settings, resolve=resolving_to(PUBLIC), backend=RedirectingBackend(server.port)
        ) as client:
            await client.get("http://example.com/")

    assert proxy.requests == [] and len(server.requests) == 1


async def test_the_certificate_is_verified_against_the_host_name(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, server_names = trustme.CA(), list[str | None]()
    trusting, own = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(trusting)
    authority.issue_cert("videos.example").configure_cert(own)
    own.sni_callback = lambda _, name, __: server_names.append(name)
    monkeypatch.setattr("callsheet.files.ssrf_guard.tls_context", lambda: trusting)

    async with serve(hello, tls=own) as server:
        backend = RedirectingBackend(server.port)
        async with guarded_client(settings, resolve=resolving_to(PUBLIC), backend=backend) as client:
            assert (await client.get("https://videos.example/")).text == "hello"
            with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.get("https://other.example/")

    assert server_names == ["videos.example", "other.example"]
    assert backend.connected == [(PUBLIC, 443)] * 2


async def test_an_unknown_host_is_a_connection_error(settings: Settings) -> None:
    async with guarded_client(settings) as client:
        with pytest.raises(httpx2.ConnectError, match="host name is unknown"):
            await client.get("http://nowhere.invalid/")
