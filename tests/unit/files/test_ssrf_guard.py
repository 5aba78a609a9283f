import ssl
from collections.abc import Awaitable, Callable

import httpx2
import pytest
import trustme

import callsheet.files.ssrf_guard as addresses
from callsheet.domain.errors import BadSource
from callsheet.files.ssrf_guard import guarded_client, is_public
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
def test_a_private_address_is_not_public_in_any_disguise(address: str) -> None:
    assert not is_public(address)


def names(*found: str) -> Callable[[str, int], Awaitable[list[str]]]:
    async def resolve(host: str, port: int) -> list[str]:
        return list(found)

    return resolve


async def hello(call: Request) -> None:
    await call.respond(body=b"hello")


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "127.0.0.1", "2130706433", "0x7f.1", "0x7f000001", "017700000001", "127.1"),
        *("0", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "169.254.169.254", "[64:ff9b::7f00:1]"),
    ],
)
async def test_a_local_host_is_refused_however_it_is_written(settings: Settings, host: str) -> None:
    async with (
        serve(hello) as server,
        guarded_client(settings, backend=(wire := RedirectingBackend(server.port))) as client,
    ):
        with pytest.raises(BadSource, match="private or local"):
            await client.get(f"http://{host}/")

        assert wire.connected == [] and server.requests == []


async def test_one_private_address_among_public_ones_refuses_them_all(settings: Settings) -> None:
    async with serve(hello) as server:
        wire = RedirectingBackend(server.port)
        async with guarded_client(settings, resolve=names(PUBLIC, "10.0.0.1"), backend=wire) as client:
            with pytest.raises(BadSource, match="private or local") as caught:
                await client.get("http://example.com/")

    assert wire.connected == []
    assert "10.0.0.1" not in str(caught.value)


async def test_the_address_that_was_checked_is_the_one_that_is_dialled(settings: Settings) -> None:
    answers = iter([[PUBLIC], ["127.0.0.1"]])

    async def changing_its_mind(host: str, port: int) -> list[str]:
        return next(answers)

    async with serve(hello) as server:
        wire = RedirectingBackend(server.port)
        async with guarded_client(settings, resolve=changing_its_mind, backend=wire) as client:
            reply = await client.get("http://example.com/x")

    assert reply.text == "hello"
    assert wire.connected == [(PUBLIC, 80)]
    assert server.requests[0].headers["host"] == "example.com"


async def test_the_second_address_is_tried_when_the_first_is_dead(settings: Settings) -> None:
    async with serve(hello) as server:
        wire = RedirectingBackend(server.port, dead=[OTHER_PUBLIC])
        async with guarded_client(settings, resolve=names(OTHER_PUBLIC, PUBLIC), backend=wire) as client:
            reply = await client.get("http://example.com/")

    assert reply.status_code == 200
    assert wire.connected == [(OTHER_PUBLIC, 80), (PUBLIC, 80)]


async def test_an_unusual_port_is_refused(settings: Settings) -> None:
    async with guarded_client(settings, resolve=names(PUBLIC)) as client:
        with pytest.raises(BadSource, match="Port 6379"):
            await client.get("http://example.com:6379/")


async def test_private_addresses_and_ports_are_open_where_the_settings_say_so(
    make_settings: MakeSettings,
) -> None:
    async with (
        serve(hello) as server,
        guarded_client(make_settings(allow_private_addresses=True)) as client,
    ):
        reply = await client.get(f"http://localhost:{server.port}/")

    assert reply.text == "hello"


async def test_a_post_keeps_its_body_and_follows_nothing(make_settings: MakeSettings) -> None:
    async def elsewhere(call: Request) -> None:
        await call.respond(307, Location="http://169.254.169.254/latest/meta-data")

    async with (
        serve(elsewhere) as server,
        guarded_client(make_settings(allow_private_addresses=True)) as client,
    ):
        reply = await client.post(server.url("/hook"), json={"a": 1}, headers={"webhook-id": "1"})

    assert reply.status_code == 307
    assert server.requests[0].body == b'{"a":1}' and server.requests[0].headers["webhook-id"] == "1"
    assert len(server.requests) == 1


async def test_a_proxy_of_the_environment_is_not_used(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(hello) as proxy, serve(hello) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url("/"))
        monkeypatch.setenv("ALL_PROXY", proxy.url("/"))
        async with guarded_client(settings, resolve=names(PUBLIC), backend=RedirectingBackend(server.port)) as client:
            await client.get("http://example.com/")

    assert proxy.requests == [] and len(server.requests) == 1


async def test_the_certificate_is_checked_against_the_name(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, seen = trustme.CA(), list[str | None]()
    trusting, own = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(trusting)
    authority.issue_cert("films.example").configure_cert(own)
    own.sni_callback = lambda _, name, __: seen.append(name)
    monkeypatch.setattr(addresses, "tls_context", lambda: trusting)

    async with serve(hello, tls=own) as server:
        wire = RedirectingBackend(server.port)
        async with guarded_client(settings, resolve=names(PUBLIC), backend=wire) as client:
            assert (await client.get("https://films.example/")).text == "hello"
            with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.get("https://other.example/")

    assert seen == ["films.example", "other.example"]
    assert wire.connected == [(PUBLIC, 443)] * 2


async def test_an_unknown_name_is_a_connection_error(settings: Settings) -> None:
    async with guarded_client(settings) as client:
        with pytest.raises(httpx2.ConnectError, match="host name is not known"):
            await client.get("http://nowhere.invalid/")
