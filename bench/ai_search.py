"""The index of winning ads, beside FAISS called directly: build, search of one vector at a time, and recall.

The vectors are made: 384 numbers, of unit length, around the centers of 1,000 clusters of very different sizes, with a
cosine of about 0.5 to another vector of their cluster. Recall is the part of the ten nearest, by comparing all, that is
found. Callsheet reads its vectors from a table in PostgreSQL, and each of its searches asks there for changes. With a
filter, it also asks there which winners meet it, and compares all of them.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import faiss
import numpy as np

from bench.machine import busy_share
from bench.report import Finding, Row, Verdict, milliseconds, percentile
from bench.sizes import Sizes
from bench.stores import Stores
from callsheet.ads.winners.filters import WinnerFilter
from callsheet.ads.winners.index import build_index, nearest
from callsheet.ads.winners.indexes import Read, WinnerIndexes
from callsheet.ads.winners.reads import reader
from callsheet.db.database import Database
from callsheet.db.upgrade import upgrade

SIZE, CLUSTERS, QUERIES, NEAREST = 384, 1000, 300, 10
LEAST_RECALL = 0.95
FLAT, CLUSTERED, CALLSHEET = "FAISS, all vectors", "FAISS, the same index", "Callsheet"
FILTERS = {
    "a tag that 1 in 100 has": WinnerFilter.model_validate({"tags": ["rare"]}),
    "a figure that 1 in 2 has": WinnerFilter.model_validate({"metrics": {"roas": {"min": 2}}}),
}
FILTERED_QUERIES = 30
_WINNER = ("tenant", "ad", "facts", "digest", "model", "vector", "version")


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Measure each once: building takes most of the time, and is done by half of the processors."""
    count = sizes.searched_vectors
    title = f"{count:,} vectors of {SIZE} numbers; {QUERIES} searches of {NEAREST}, one after the other"
    finding = Finding("ai-search", title, ["build s", "median ms", "p95 ms", f"recall@{NEAREST}"])
    vectors, queries = _vectors(count)
    numbers = np.arange(1, count + 1)
    # The limits of FAISS belong to the thread: searches use one processor, as Callsheet's do.
    progress(FLAT)
    finding.noise.append(busy_share())
    started = time.perf_counter()
    flat = faiss.IndexIDMap(faiss.IndexFlatIP(SIZE))
    flat.add_with_ids(vectors, numbers)
    built = time.perf_counter() - started
    exact, seconds = _searched(flat, queries)
    finding.rows.append(_row(FLAT, built, seconds, 1.0))

    progress(CLUSTERED)
    finding.noise.append(busy_share())
    started = time.perf_counter()
    index = build_index(numbers, vectors)
    built = time.perf_counter() - started
    found, seconds = _searched(index, queries)
    finding.rows.append(_row(CLUSTERED, built, seconds, _recall(found, exact)))

    finding.noise.append(busy_share())
    with stores.database() as store:
        folder = stores.folder / "ai-search"
        ours = asyncio.run(_callsheet(store, folder, vectors, queries, progress))
    size = sum(path.stat().st_size for path in folder.glob("*.index"))
    recall = _recall(ours["found"], exact)
    finding.rows.append(_row(CALLSHEET, ours["built"], ours["seconds"], recall))
    for name, filtered in ours["filtered"].items():
        times = [milliseconds(percentile(filtered, part)) for part in (0.5, 0.95)]
        finding.rows.append(Row(f"{CALLSHEET}, with {name}", ["", *times, ""], {"seconds": filtered}))
    finding.verdicts.append(
        Verdict(f"{CALLSHEET}: recall of at least {LEAST_RECALL}", f"{recall:.3f}", recall >= LEAST_RECALL)
    )
    finding.notes.append(
        f"{CALLSHEET}, first search: {ours['cold']:.1f} s without a file, which compares all while the index is built; "
        f"{ours['opened']:.1f} s with one. Its build reads the table, and writes a file of {size / 2**20:.0f} "
        "MiB."
    )
    return finding


def _vectors(count: int) -> tuple[Any, Any]:
    random = np.random.default_rng(7)
    centers = _unit(random.standard_normal((CLUSTERS, SIZE), np.float32))
    weights = 1 / np.arange(1, CLUSTERS + 1)
    of = random.choice(CLUSTERS, count + QUERIES, p=weights / weights.sum())
    made = _unit(centers[of] + random.standard_normal((count + QUERIES, SIZE), np.float32) / SIZE**0.5)
    return made[:count], made[count:]


def _unit(rows: Any) -> Any:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _searched(index: Any, queries: Any) -> tuple[list[Any], list[float]]:
    found, seconds = [], []
    for query in queries:
        started = time.perf_counter()
        found.append(nearest(index, query, NEAREST)[0])
        seconds.append(time.perf_counter() - started)
    return found, seconds


async def _callsheet(
    store: str, folder: Path, vectors: Any, queries: Any, progress: Callable[[str], None]
) -> dict[str, Any]:
    progress(f"{CALLSHEET}: rows")
    await upgrade(store)
    await _fill(store, vectors)
    async with Database(store) as database:
        read = reader(database)
        progress(CALLSHEET)
        indexes = WinnerIndexes(folder)
        started = time.perf_counter()
        await indexes.search(read, "t", "m", queries[0], NEAREST)
        cold = time.perf_counter() - started
        await indexes.built()
        built = time.perf_counter() - started - cold
        found, seconds = [], []
        for query in queries:
            started = time.perf_counter()
            hits = (await indexes.search(read, "t", "m", query, NEAREST)).hits
            seconds.append(time.perf_counter() - started)
            found.append(np.array([number for number, _ in hits]))
        filtered = {}
        for name, conditions in FILTERS.items():
            progress(f"{CALLSHEET}: {name}")
            filtered[name] = await _filtered(indexes, read, queries[:FILTERED_QUERIES], conditions)
        await indexes.close()
        other = WinnerIndexes(folder)
        started = time.perf_counter()
        await other.search(read, "t", "m", queries[0], NEAREST)
        opened = time.perf_counter() - started
        await other.close()
    return {"cold": cold, "built": built, "seconds": seconds, "found": found, "opened": opened, "filtered": filtered}


async def _filtered(indexes: WinnerIndexes, read: Read, queries: Any, conditions: WinnerFilter) -> list[float]:
    seconds = []
    for query in queries:
        started = time.perf_counter()
        found = await indexes.search(read, "t", "m", query, NEAREST, conditions)
        seconds.append(time.perf_counter() - started)
        if len(found.hits) != NEAREST:
            raise RuntimeError(f"{len(found.hits)} winners were found in place of {NEAREST}")
    return seconds


def _facts(place: int) -> str:
    """Return what the filters look at: a tag that one in 100 has, and a figure from 0 to 3."""
    tags = '["video", "rare"]' if place % 100 == 0 else '["video"]'
    return f'{{"tags": {tags}, "metrics": {{"roas": {place % 4}, "ctr": 0.021}}, "attributes": {{"platform": "meta"}}}}'


async def _fill(store: str, vectors: Any) -> None:
    """Store the vectors as winners whose numbers are their places, from 1."""
    connection = await asyncpg.connect(store)
    try:
        rows = (
            ("t", f"ad-{place}", _facts(place), "d", "m", vector.tobytes(), 1) for place, vector in enumerate(vectors)
        )
        await connection.copy_records_to_table("ad_winners", schema_name="callsheet", columns=_WINNER, records=rows)
        await connection.execute("INSERT INTO callsheet.ad_winner_versions (tenant, version) VALUES ('t', 1)")
        await connection.execute("VACUUM ANALYZE callsheet.ad_winners")
    finally:
        await connection.close()


def _recall(found: list[Any], exact: list[Any]) -> float:
    return sum(len(np.intersect1d(f, e)) for f, e in zip(found, exact, strict=True)) / (NEAREST * len(exact))


def _row(name: str, built: float, seconds: list[float], recall: float) -> Row:
    values = [f"{built:.1f}", milliseconds(percentile(seconds, 0.5)), milliseconds(percentile(seconds, 0.95))]
    return Row(name, [*values, f"{recall:.3f}"], {"seconds": seconds})
