"""The faults, and their order: all kinds take their turn, shuffled by the seed."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.chaos.load import Client
from tests.chaos.system import WORKER_TIMEOUT, System

from callsheet.fakes.providers.faults import CutConnection, Fail, Garble, NoFault, RateLimited, Slow, TruncateBody
from callsheet.fakes.providers.task_script import Failed, Queued, Running, Succeeded
from callsheet.fakes.providers.webhook_script import WebhookScript

_NORMAL_TASK = (Queued(), Running(0.5), Succeeded())
_OUTAGE = (2.0, 6.0)
"""Shortest and longest outage of a link, in seconds."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a fault may act on, and its own random numbers."""

    system: System
    client: Client
    random: random.Random

    def seconds(self) -> float:
        """Return the length of an outage."""
        return self.random.uniform(*_OUTAGE)


Fault = Callable[[Target], Awaitable[bool | None]]
"""Injects one fault and takes it back. Returns False if there was nothing to act on."""


async def _kill_worker(target: Target) -> bool:
    return target.random.choice(target.system.workers).kill_child()


async def _kill_supervisor(target: Target) -> bool:
    return target.random.choice(target.system.workers).kill()


async def _kill_api(target: Target) -> bool:
    return target.system.api.kill()


async def _freeze_worker(target: Target) -> bool:
    return await target.random.choice(target.system.workers).freeze(WORKER_TIMEOUT + 2)


async def _restart_database(target: Target) -> None:
    await target.system.database.restart()


async def _fill_disk(target: Target) -> bool:
    if not target.system.has_small_disk:
        return False
    try:
        await asyncio.to_thread(target.system.fill_disk)
        await asyncio.sleep(target.seconds() / 2)
    finally:
        target.system.free_disk()
    return True


async def _cancel(target: Target) -> bool:
    return await target.client.cancel_one(target.random.random())


async def _retry(target: Target) -> bool:
    return await target.client.retry_one(target.random.random())


def _cut(link: str) -> Fault:
    async def inject(target: Target) -> None:
        target.system.links.cut(link)

    return inject


def _forget(link: str) -> Fault:
    async def inject(target: Target) -> None:
        target.system.links.forget(link)

    return inject


def _stall(link: str) -> Fault:
    async def inject(target: Target) -> None:
        await target.system.links.stall(link, target.seconds())

    return inject


def _close(link: str) -> Fault:
    async def inject(target: Target) -> None:
        await target.system.links.close(link, target.seconds())

    return inject


async def _bad_responses(target: Target) -> None:
    """The next requests to a provider are rejected, lost before or after they are accepted, or garbled."""
    fake = target.system.providers[target.random.choice(["replicate", "luma"])]
    faults = [
        RateLimited(after=1),
        Fail(500),
        Fail(503, accepted=True),
        CutConnection(),
        CutConnection(accepted=True),
        TruncateBody(),
        Garble(),
        Slow(2),
        NoFault(),
    ]
    fake.inject_faults(
        submit=[target.random.choice(faults)],
        status=target.random.sample(faults, 3),
        download=[target.random.choice([Fail(500), TruncateBody(), NoFault()])],
    )


async def _bad_webhooks(target: Target) -> None:
    """The webhooks of the next tasks are late, repeated, early, reordered, forged, old, cut off, or missing."""
    scripts = [
        WebhookScript(times=0),
        WebhookScript(times=3),
        WebhookScript(delay=3),
        WebhookScript(before_response=True),
        WebhookScript(reordered=True),
        WebhookScript(forged=True),
        WebhookScript(age=3600),
        WebhookScript(body=b'{"id": "ha'),
    ]
    target.system.providers["replicate"].inject_faults(webhook=target.random.sample(scripts, 4))


async def _failing_tasks(target: Target) -> None:
    """The tasks that a provider accepts for some time fail there."""
    fake = target.system.providers[target.random.choice(["replicate", "luma"])]
    fake.script(Queued(), Failed())
    await asyncio.sleep(2)
    fake.script(*_NORMAL_TASK)


async def _comfyui_loses_responses(target: Target) -> None:
    target.system.comfyui.lose_responses = 1


async def _comfyui_loses_prompts(target: Target) -> None:
    target.system.comfyui.drop_prompts = 1


async def _comfyui_restarts(target: Target) -> None:
    await target.system.comfyui.restart()


async def _comfyui_is_silent(target: Target) -> None:
    target.system.comfyui.silent_websockets = True
    await asyncio.sleep(target.seconds())
    target.system.comfyui.silent_websockets = False


_PROVIDER_LINKS = ("replicate", "luma", "comfyui")

FAULTS: dict[str, Fault] = {
    "kill -9 of a worker": _kill_worker,
    "kill -9 of a supervisor": _kill_supervisor,
    "kill -9 of the API server": _kill_api,
    "worker frozen beyond its timeout": _freeze_worker,
    "immediate restart of PostgreSQL": _restart_database,
    "disk full": _fill_disk,
    "execution cancelled": _cancel,
    "execution retried": _retry,
    **{f"{link}: connections cut": _cut(link) for link in ("database", "storage", "api", *_PROVIDER_LINKS)},
    **{f"{link}: connections half-open": _forget(link) for link in ("database", "storage", *_PROVIDER_LINKS)},
    **{f"{link}: no response for seconds": _stall(link) for link in ("database", "storage", *_PROVIDER_LINKS)},
    **{f"{link}: unreachable for seconds": _close(link) for link in ("database", "storage", *_PROVIDER_LINKS)},
    "provider: bad responses": _bad_responses,
    "provider: bad webhooks": _bad_webhooks,
    "provider: tasks fail": _failing_tasks,
    "comfyui: response of a submission lost": _comfyui_loses_responses,
    "comfyui: submission lost": _comfyui_loses_prompts,
    "comfyui: restart": _comfyui_restarts,
    "comfyui: no messages": _comfyui_is_silent,
}


class Schedule:
    """Injects faults at random times. The same seed gives the same faults at the same times."""

    def __init__(self, system: System, client: Client, seed: int) -> None:
        self.injected: Counter[str] = Counter()
        self._system = system
        self._client = client
        self._random = random.Random(f"faults {seed}")
        self._running: dict[str, asyncio.Task[None]] = {}

    async def run(self, pause: float) -> None:
        """Inject a fault about every `pause` seconds, until cancelled. Long ones overlap."""
        names: list[str] = []
        while True:
            await asyncio.sleep(self._random.uniform(0.3, 1.7) * pause)
            names = names or self._random.sample(list(FAULTS), len(FAULTS))
            name, own = names.pop(), random.Random(self._random.random())
            if name not in self._running:
                task = self._running[name] = asyncio.create_task(self._inject(name, own))
                task.add_done_callback(lambda _, name=name: self._running.pop(name))

    async def end(self) -> None:
        """Wait until every fault has been taken back, and heal the links."""
        await asyncio.gather(*self._running.values())
        self._system.links.heal()
        for fake in self._system.providers.values():
            fake.inject_faults(submit=[], status=[], download=[])
        self._system.comfyui.lose_responses = self._system.comfyui.drop_prompts = 0

    async def _inject(self, name: str, own: random.Random) -> None:
        if await FAULTS[name](Target(self._system, self._client, own)) is not False:
            self.injected[name] += 1
