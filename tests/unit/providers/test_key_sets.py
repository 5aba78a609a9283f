from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from files.web_servers import Answer, Call, Server, serve

from callsheet.domain.errors import BadWebhook, ProviderUnreachable
from callsheet.providers.key_sets import Keys, KeySet


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def key_server() -> AsyncIterator[tuple[Server, list[str]]]:
    """A server of a key set, whose keys' names may be changed."""
    names = ["old"]

    async def answer(call: Call) -> None:
        listed = ", ".join(f'{{"kid": "{name}"}}' for name in names)
        await call.answer(200, f'{{"keys": [{listed}, "no key"]}}'.encode())

    async with serve(answer) as server:
        yield server, names


def having(name: str):
    def check(keys: Keys) -> int:
        if all(key["kid"] != name for key in keys):
            raise BadWebhook()
        return len(keys)

    return check


async def test_keys_are_asked_for_once_a_day() -> None:
    clock = Clock()
    async with key_server() as (server, _):
        keys = KeySet(server.url("/jwks.json"), clock=clock)
        for _ in range(3):
            assert await keys.checked(having("old")) == 1
        assert len(server.calls) == 1

        clock.now += 24 * 3600
        await keys.checked(having("old"))
        assert len(server.calls) == 2


async def test_a_new_key_is_found_by_asking_again_once() -> None:
    clock = Clock()
    async with key_server() as (server, names):
        keys = KeySet(server.url("/jwks.json"), clock=clock)
        await keys.checked(having("old"))
        names.append("new")
        clock.now += 60

        assert await keys.checked(having("new")) == 2
        assert len(server.calls) == 2


async def test_forged_calls_do_not_lead_to_a_storm_of_questions() -> None:
    clock = Clock()
    async with key_server() as (server, _):
        keys = KeySet(server.url("/jwks.json"), clock=clock)
        for _ in range(100):
            with pytest.raises(BadWebhook):
                await keys.checked(having("forged"))
        assert len(server.calls) == 1

        clock.now += 60
        for _ in range(100):
            with pytest.raises(BadWebhook):
                await keys.checked(having("forged"))
        assert len(server.calls) == 2


async def broken(call: Call) -> None:
    await call.answer(500, b'{"keys": []}')


async def no_json(call: Call) -> None:
    await call.answer(200, b"<html>")


async def no_keys(call: Call) -> None:
    await call.answer(200, b'{"keys": {}}')


async def elsewhere(call: Call) -> None:
    await call.answer(302, Location="http://127.0.0.1:1/")


async def cut(_: Call) -> None:
    return


@pytest.mark.parametrize("answer", [broken, no_json, no_keys, elsewhere, cut])
async def test_without_keys_nothing_is_true_and_nothing_forged(answer: Answer) -> None:
    clock = Clock()
    async with serve(answer) as server:
        keys = KeySet(server.url("/jwks.json?key=hush"), clock=clock)
        for _ in range(3):
            with pytest.raises(ProviderUnreachable) as error:
                await keys.checked(having("old"))
            assert "hush" not in error.value.message
        assert len(server.calls) == 1

        clock.now += 60
        with pytest.raises(ProviderUnreachable):
            await keys.checked(having("old"))
        assert len(server.calls) == 2


async def test_old_keys_are_kept_while_there_are_no_new_ones() -> None:
    clock = Clock()
    async with key_server() as (server, _):
        keys = KeySet(server.url("/jwks.json"), clock=clock)
        await keys.checked(having("old"))

    clock.now += 48 * 3600
    assert await keys.checked(having("old")) == 1
