import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from files.web_servers import Handler, Request, Server, serve

from callsheet.domain.errors import BadWebhook, ProviderRateLimited, ProviderUnreachable
from callsheet.providers.webhooks import jwks
from callsheet.providers.webhooks.jwks import Jwks, Keys
from callsheet.providers.webhooks.refreshing import RefreshingValue


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def key_server() -> AsyncIterator[tuple[Server, list[str]]]:
    """A server of a key set with changeable key ids."""
    names = ["old"]

    async def answer(call: Request) -> None:
        listed = ", ".join(f'{{"kid": "{name}"}}' for name in names)
        await call.respond(200, f'{{"keys": [{listed}, "no key"]}}'.encode())

    async with serve(answer) as server:
        yield server, names


def having(name: str):
    def check(keys: Keys) -> int:
        if all(key["kid"] != name for key in keys):
            raise BadWebhook()
        return len(keys)

    return check


async def test_keys_are_fetched_once_a_day() -> None:
    clock = Clock()
    async with key_server() as (server, _):
        keys = Jwks(server.url("/jwks.json"), clock=clock)
        for _ in range(3):
            assert await keys.verify(having("old")) == 1
        assert len(server.requests) == 1

        clock.now += 24 * 3600
        await keys.verify(having("old"))
        assert len(server.requests) == 2


async def test_a_new_key_is_found_by_one_refresh() -> None:
    clock = Clock()
    async with key_server() as (server, names):
        keys = Jwks(server.url("/jwks.json"), clock=clock)
        await keys.verify(having("old"))
        names.append("new")
        clock.now += 60

        assert await keys.verify(having("new")) == 2
        assert len(server.requests) == 2


async def test_forged_webhooks_do_not_cause_many_fetches() -> None:
    clock = Clock()
    async with key_server() as (server, _):
        keys = Jwks(server.url("/jwks.json"), clock=clock)
        for _ in range(100):
            with pytest.raises(BadWebhook):
                await keys.verify(having("forged"))
        assert len(server.requests) == 1

        clock.now += 60
        for _ in range(100):
            with pytest.raises(BadWebhook):
                await keys.verify(having("forged"))
        assert len(server.requests) == 2


async def broken(call: Request) -> None:
    await call.respond(500, b'{"keys": []}')


async def no_json(call: Request) -> None:
    await call.respond(200, b"<html>")


async def no_keys(call: Request) -> None:
    await call.respond(200, b'{"keys": {}}')


async def elsewhere(call: Request) -> None:
    await call.respond(302, Location="http://127.0.0.1:1/")


async def cut(_: Request) -> None:
    return


@pytest.mark.parametrize("answer", [broken, no_json, no_keys, elsewhere, cut])
async def test_without_keys_verification_is_unreachable(answer: Handler) -> None:
    clock = Clock()
    async with serve(answer) as server:
        keys = Jwks(server.url("/jwks.json?key=hush"), clock=clock)
        for _ in range(3):
            with pytest.raises(ProviderUnreachable) as error:
                await keys.verify(having("old"))
            assert "hush" not in error.value.message
        assert len(server.requests) == 1

        clock.now += 60
        with pytest.raises(ProviderUnreachable):
            await keys.verify(having("old"))
        assert len(server.requests) == 2


async def test_old_keys_stay_valid_while_a_refresh_fails() -> None:
    clock = Clock()
    async with key_server() as (server, _):
        keys = Jwks(server.url("/jwks.json"), clock=clock)
        await keys.verify(having("old"))

    clock.now += 48 * 3600
    assert await keys.verify(having("old")) == 1


async def test_a_failed_refresh_is_repeated_after_a_minute() -> None:
    clock = Clock()
    async with key_server() as (server, _):
        keys = Jwks(server.url("/jwks.json"), clock=clock)
        await keys.verify(having("old"))
    asked = clock.now = clock.now + 24 * 3600
    await keys.verify(having("old"))

    async with key_server() as (server, names):
        names[:] = ["new"]
        keys._url = server.url("/jwks.json")
        clock.now = asked + 59
        assert await keys.verify(having("old")) == 1
        clock.now = asked + 60
        with pytest.raises(BadWebhook):
            await keys.verify(having("old"))
        assert len(server.requests) == 1


async def test_a_recent_value_does_not_wait_for_a_refresh() -> None:
    clock, answering, asked = Clock(), asyncio.Event(), asyncio.Event()
    loaded = iter([["old"], ["old", "new"]])

    async def load() -> list[str]:
        keys = next(loaded)
        if "new" in keys:
            asked.set()
            await answering.wait()
        return keys

    def has(name: str):
        def check(keys: list[str]) -> str:
            if name not in keys:
                raise BadWebhook()
            return name

        return check

    fresh = RefreshingValue(load, clock=clock)
    await fresh.verify(has("old"))
    clock.now += 60
    waiting = asyncio.create_task(fresh.verify(has("new")))
    await asyncio.wait_for(asked.wait(), 10)

    assert await asyncio.wait_for(fresh.verify(has("old")), 10) == "old"
    answering.set()
    assert await waiting == "new"


async def test_a_rate_limited_refresh_keeps_the_value() -> None:
    clock = Clock()
    given: list[str | ProviderRateLimited] = ["old", ProviderRateLimited("too fast", retry_after=7)]

    async def load() -> str:
        reported = given.pop(0)
        if isinstance(reported, ProviderRateLimited):
            raise reported
        return reported

    fresh = RefreshingValue(load, clock=clock)
    assert await fresh.verify(str.upper) == "OLD"
    clock.now += 24 * 3600
    assert await fresh.verify(str.upper) == "OLD"

    given.append(ProviderRateLimited("too fast", retry_after=7))
    with pytest.raises(ProviderUnreachable, match="too fast"):
        await RefreshingValue(load, clock=clock).verify(str.upper)


async def test_an_endless_key_set_is_not_read_completely() -> None:
    sent = 0

    async def endless(call: Request) -> None:
        nonlocal sent
        await call.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while not call.closing.is_set():
            await call.send(b" " * 2**20)
            sent += 1

    async with serve(endless) as server:
        with pytest.raises(ProviderUnreachable, match="without keys"):
            await Jwks(server.url("/jwks.json")).verify(having("old"))

    assert sent < 20


async def test_a_slow_key_set_meets_its_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "_TIMEOUT", 0.3)

    async def drip(call: Request) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not call.closing.is_set():
            await call.send(b" ")
            await asyncio.sleep(0.02)

    async with serve(drip) as server:
        with pytest.raises(ProviderUnreachable, match="TimeoutError"):
            await Jwks(server.url("/jwks.json")).verify(having("old"))
