"""Group commit: calls that arrive together share one write."""

import asyncio

import pytest

from callsheet.db import group_commit
from callsheet.db.group_commit import GroupCommit
from callsheet.domain.errors import DatabaseUnavailable
from callsheet.testing.waiters import until


class Store:
    """Records the groups that are written. A write waits while `held`."""

    def __init__(self):
        self.groups = []
        self.free = asyncio.Event()
        self.free.set()
        self.bad = set()
        self.error = ValueError

    async def write(self, items):
        self.groups.append(items)
        await self.free.wait()
        if self.bad & set(items):
            raise self.error("bad")
        return [item * 10 for item in items]

    @property
    def written(self):
        return sorted(item for group in self.groups for item in group)


@pytest.fixture
async def store():
    return Store()


@pytest.fixture
def commits(store, monkeypatch):
    monkeypatch.setattr(group_commit, "_SLOW_WRITE", 3600)
    return GroupCommit(store.write, max_size=100)


async def start(commits, *items, **options):
    tasks = [asyncio.create_task(commits.write(item, **options)) for item in items]
    await asyncio.sleep(0)
    return tasks


async def test_each_caller_gets_its_own_result(commits):
    assert await asyncio.gather(*(commits.write(n) for n in range(50))) == [n * 10 for n in range(50)]


async def test_the_first_item_is_written_at_once_and_those_that_arrive_meanwhile_together(store, commits):
    store.free.clear()
    first = await start(commits, 1)
    await until(lambda: store.groups == [[1]])

    others = await start(commits, 2, 3, 4)
    store.free.set()
    await asyncio.gather(*first, *others)

    assert store.groups == [[1], [2, 3, 4]]


async def test_a_bad_item_fails_alone(store, commits):
    store.bad = {6}

    results = await asyncio.gather(*(commits.write(n) for n in range(10)), return_exceptions=True)

    assert [n for n, result in enumerate(results) if isinstance(result, ValueError)] == [6]
    assert [result for n, result in enumerate(results) if n != 6] == [n * 10 for n in range(10) if n != 6]


async def test_an_exception_among_the_results_is_raised_by_its_caller_only():
    async def write(items):
        return [KeyError(item) if item == 2 else item for item in items]

    commits = GroupCommit(write, max_size=100)

    results = await asyncio.gather(*(commits.write(n) for n in range(4)), return_exceptions=True)

    assert [type(result) for result in results] == [int, int, KeyError, int]


async def test_a_group_is_not_written_in_halves_while_the_database_is_away(store, commits):
    store.bad, store.error = {0}, DatabaseUnavailable

    results = await asyncio.gather(*(commits.write(n) for n in range(4)), return_exceptions=True)

    assert all(isinstance(result, DatabaseUnavailable) for result in results)
    assert store.groups == [[0, 1, 2, 3]]


async def test_a_caller_cancelled_before_the_write_writes_nothing_and_the_others_do_not_notice(store, commits):
    store.free.clear()
    first = await start(commits, 1)
    await until(lambda: store.groups == [[1]])
    cancelled, other = await start(commits, 2, 3)

    cancelled.cancel()
    store.free.set()

    assert await asyncio.gather(*first, other) == [10, 30]
    assert cancelled.cancelled()
    assert store.written == [1, 3]


async def test_a_caller_cancelled_during_the_write_does_not_stop_the_write(store, commits):
    store.free.clear()
    cancelled, other = await start(commits, 1, 2)
    await until(lambda: store.groups == [[1, 2]])

    cancelled.cancel()
    await asyncio.sleep(0)
    store.free.set()

    assert await other == 20
    assert store.groups == [[1, 2]]


async def test_groups_are_limited_by_the_sum_of_their_sizes(store, commits):
    await asyncio.gather(*(commits.write(n, size=40) for n in range(5)), commits.write(5, size=1000))

    assert store.groups == [[0, 1], [2, 3], [4], [5]]


async def test_a_slow_write_does_not_hold_up_later_items(store, commits, monkeypatch):
    monkeypatch.setattr(group_commit, "_SLOW_WRITE", 0.001)
    store.free.clear()
    slow = await start(commits, 1)
    later = await start(commits, 2)

    await until(lambda: store.groups == [[1], [2]])

    store.free.set()
    assert await asyncio.gather(*slow, *later) == [10, 20]


async def test_slow_writes_are_limited_in_number(store, commits, monkeypatch):
    monkeypatch.setattr(group_commit, "_SLOW_WRITE", 0.001)
    store.free.clear()
    tasks = []
    for n in range(4):
        tasks += await start(commits, n)
        await until(lambda n=n: len(store.groups) == n + 1)
    tasks += await start(commits, *range(4, 10))

    store.free.set()
    await asyncio.gather(*tasks)

    assert store.groups == [[0], [1], [2], [3], [4, 5, 6, 7, 8, 9]]


async def test_no_item_is_forgotten_however_writes_and_arrivals_interleave(store, commits):
    async def caller(first):
        # The pauses vary, so that items arrive at every step of a write, also at its very end.
        for n in range(first, first + 200):
            assert await commits.write(n) == n * 10
            for _ in range(n % 7):
                await asyncio.sleep(0)

    async with asyncio.timeout(60):
        await asyncio.gather(*(caller(1000 * k) for k in range(5)))

    assert store.written == [1000 * k + n for k in range(5) for n in range(200)]
