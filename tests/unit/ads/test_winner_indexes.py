"""Indexes of winners over a table in memory: up to date at each search, built in the background, swapped at once."""

import asyncio
import threading
from uuid import uuid4

import numpy as np
import pytest

from callsheet.ads.winners import index as index_module
from callsheet.ads.winners import indexes as indexes_module
from callsheet.ads.winners.index import build_index, nearest
from callsheet.ads.winners.indexes import WinnerIndexes
from callsheet.domain.errors import NotConfigured

SIZE = 16
RNG = np.random.default_rng(1)


def unit(rows):
    vectors = np.asarray(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


class Table:
    """The winners of one tenant, with the statements that the indexes read."""

    def __init__(self):
        self.id = uuid4()
        self.version = 0
        self.rows = {}
        self.reads = []

    def put(self, vectors, model="m"):
        """Store vectors under the given numbers, as one version; None deletes."""
        self.version += 1
        for number, vector in vectors.items():
            data = None if vector is None else np.asarray(vector, "<f4").tobytes()
            self.rows[number] = {"number": number, "version": self.version, "vector": data, "model": model}

    async def read(self, statement, **values):
        self.reads.append(statement)
        if statement == "winner_version":
            return [{"id": self.id, "version": self.version}] if self.version else []
        if statement == "count_winners":
            models = {row["model"] for row in self.rows.values()}
            return [
                {"model": m, "winners": sum(r["model"] == m and r["vector"] is not None for r in self.rows.values())}
                for m in models
            ]
        after = (values["after_version"], values["after_number"])
        rows = [
            {**row, "vector": row["vector"] if row["model"] == values["model"] else None}
            for row in sorted(self.rows.values(), key=lambda row: (row["version"], row["number"]))
            if (row["version"], row["number"]) > after
        ]
        return rows[: values["max_rows"]]


@pytest.fixture
def table():
    return Table()


@pytest.fixture
async def indexes(tmp_path):
    indexes = WinnerIndexes(tmp_path / "winners")
    yield indexes
    await indexes.close()


async def found(indexes, table, vector, count=3):
    return [number for number, _ in (await indexes.search(table.read, "t", "m", vector, count)).hits]


def files(tmp_path):
    return sorted((tmp_path / "winners").glob("*"))


async def test_a_tenant_without_winners_has_no_hit(indexes, table):
    found = await indexes.search(table.read, "t", "m", unit(np.ones(SIZE)), 3)
    assert (found.hits, found.total, found.outdated) == ([], 0, 0)


async def test_each_search_finds_what_was_stored_changed_and_deleted_before_it(indexes, table):
    vectors = unit(RNG.normal(size=(200, SIZE)))
    table.put(dict(enumerate(vectors)))
    assert (await found(indexes, table, vectors[7]))[0] == 7
    await indexes.built()

    table.put({7: -vectors[7], 500: unit(vectors[9] + 0.01), 9: None})
    assert 7 not in await found(indexes, table, vectors[7])
    assert (await found(indexes, table, -vectors[7]))[0] == 7
    nearest_to_9 = await found(indexes, table, vectors[9])
    assert nearest_to_9[0] == 500 and 9 not in nearest_to_9
    reads = len(table.reads)
    result = await indexes.search(table.read, "t", "m", vectors[3], 300)
    assert table.reads[reads:] == ["winner_version"], "nothing has changed, so nothing is read again"
    assert (result.total, len(result.hits)) == (200, 200)
    assert [score for _, score in result.hits] == sorted((score for _, score in result.hits), reverse=True)


async def test_many_changes_build_an_index_while_searches_keep_theirs(indexes, table, tmp_path, monkeypatch):
    vectors = unit(RNG.normal(size=(300, SIZE)))
    started, go_on = asyncio.Event(), threading.Event()
    loop, build = asyncio.get_running_loop(), indexes_module.stored_index

    def slow(*values):
        loop.call_soon_threadsafe(started.set)
        assert go_on.wait(20)
        return build(*values)

    monkeypatch.setattr(indexes_module, "stored_index", slow)
    table.put(dict(enumerate(vectors)))
    assert (await found(indexes, table, vectors[5]))[0] == 5
    await asyncio.wait_for(started.wait(), 20)
    table.put({5: None, 301: vectors[6]})
    assert 5 not in await found(indexes, table, vectors[5])
    assert files(tmp_path) == []

    go_on.set()
    await indexes.built()

    assert [path.suffix for path in files(tmp_path)] == [".index"]
    assert 5 not in await found(indexes, table, vectors[5])
    assert set((await found(indexes, table, vectors[6]))[:2]) == {6, 301}


async def test_searches_during_swaps_always_find_the_best(indexes, table):
    vectors = unit(RNG.normal(size=(400, SIZE)))
    table.put(dict(enumerate(vectors[:100])))
    for step in range(100, 400, 100):
        table.put(dict(enumerate(vectors[step : step + 100], step)))
        hits = await asyncio.gather(*(found(indexes, table, vectors[number], 1) for number in range(0, step + 100, 9)))
        assert [hit for [hit] in hits] == list(range(0, step + 100, 9))
    await indexes.built()


async def test_a_new_process_reads_the_file_and_only_the_changes_since(indexes, table, tmp_path):
    vectors = unit(RNG.normal(size=(100, SIZE)))
    table.put(dict(enumerate(vectors)))
    await found(indexes, table, vectors[0])
    await indexes.built()
    table.put({3: None})

    other = WinnerIndexes(tmp_path / "winners")
    table.rows = {number: row for number, row in table.rows.items() if row["version"] > 1}  # the file has the others
    assert (await found(other, table, vectors[8]))[0] == 8
    assert 3 not in await found(other, table, vectors[3])
    await other.close()


@pytest.mark.parametrize("damage", ["truncated", "changed", "foreign", "empty", "missing", "newer"])
async def test_a_file_that_is_damaged_or_not_of_this_database_is_built_again(indexes, table, tmp_path, damage):
    vectors = unit(RNG.normal(size=(100, SIZE)))
    table.put(dict(enumerate(vectors)))
    table.put({})
    await found(indexes, table, vectors[0])
    await indexes.built()
    [path] = files(tmp_path)
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "newer":
        table.version = 1  # the database was restored from a backup
    else:
        changed = data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
        path.write_bytes({"truncated": data[:-5], "changed": changed, "foreign": b"{}\n", "empty": b""}[damage])

    other = WinnerIndexes(tmp_path / "winners")
    for number in (1, 99):
        assert (await found(other, table, vectors[number]))[0] == number
    await other.built()
    await other.close()
    assert files(tmp_path) == [path] and path.read_bytes()[-1000:] == data[-1000:]


async def test_a_folder_that_cannot_be_written_does_not_stop_the_search(table, tmp_path):
    (tmp_path / "winners").write_text("a file")
    indexes = WinnerIndexes(tmp_path / "winners")
    vectors = unit(RNG.normal(size=(100, SIZE)))
    table.put(dict(enumerate(vectors)))
    assert (await found(indexes, table, vectors[4]))[0] == 4
    await indexes.built()
    assert (await found(indexes, table, vectors[4]))[0] == 4
    await indexes.close()


async def test_vectors_of_another_model_are_counted_and_not_searched(indexes, table):
    table.put({1: unit(np.ones(SIZE))})
    table.put({2: unit(np.ones(8))}, model="other")
    result = await indexes.search(table.read, "t", "m", unit(np.ones(SIZE)), 5)
    assert ([number for number, _ in result.hits], result.total, result.outdated) == ([1], 1, 1)
    with pytest.raises(NotConfigured, match="vectors of 8 numbers, and those of the winners have 16"):
        await indexes.search(table.read, "t", "m", unit(np.ones(8)), 5)


async def test_indexes_that_were_not_searched_for_long_are_forgotten(indexes, monkeypatch):
    monkeypatch.setattr(indexes_module, "_MAX_HELD", 100)
    tables = {name: Table() for name in ("a", "b", "c")}
    vectors = unit(RNG.normal(size=(60, SIZE)))
    for name, table in tables.items():
        table.put(dict(enumerate(vectors)))
        assert (await indexes.search(table.read, name, "m", vectors[2], 1)).hits[0][0] == 2
    held = [tenant for tenant, _ in indexes._entries]
    assert held == ["c"]
    assert (await indexes.search(tables["a"].read, "a", "m", vectors[3], 1)).hits[0][0] == 3


async def test_a_search_among_some_finds_the_best_of_them_in_the_index_and_among_the_changes(
    indexes, table, monkeypatch
):
    class Among:
        is_empty = False

        def __init__(self, numbers):
            self.numbers = numbers

        def arguments(self):
            return {"numbers": self.numbers}

    read = table.read

    async def read_among(statement, **values):
        if statement == "matching_winners":
            return [{"number": number} for number in values["numbers"]]
        return await read(statement, **values)

    monkeypatch.setattr(index_module, "EXACT_UP_TO", 1000)
    vectors = unit(RNG.normal(size=(4100, SIZE)))
    table.put(dict(enumerate(vectors[:4000])))
    await found(indexes, table, vectors[0])
    await indexes.built()  # by clusters
    table.put(dict(enumerate(vectors[4000:4050], 4000)))
    for numbers in ([3, 999, 4007], [4007, 4011], [17], list(range(0, 4050, 7)), []):
        result = await indexes.search(read_among, "t", "m", vectors[3], 5, Among(numbers))
        best = sorted(numbers, key=lambda number: -float(vectors[number] @ vectors[3]))[:5]
        assert ([number for number, _ in result.hits], result.total) == (best, len(numbers))


def test_beyond_the_exact_size_nine_of_ten_of_the_nearest_are_found(monkeypatch):
    monkeypatch.setattr(index_module, "EXACT_UP_TO", 1000)
    centers = unit(RNG.normal(size=(40, 32)))
    vectors = unit(centers[RNG.integers(40, size=4000)] + 0.1 * RNG.normal(size=(4000, 32)))
    index = build_index(np.arange(4000) + 7, vectors)
    exact = np.argsort(-(vectors[:50] @ vectors.T), axis=1)[:, :10] + 7

    found = [set(nearest(index, vector, 10)[0]) for vector in vectors[:50]]

    assert sum(len(f & set(e)) for f, e in zip(found, exact, strict=True)) / 500 >= 0.9
