"""Reads that open pages share."""

import asyncio
import json

import pytest

from callsheet.console.fragments import ChangedFragments, Fragment, RenderedFragments
from callsheet.console.shared_reads import SharedReads


class Source:
    """Counts its reads; each waits until it may end."""

    def __init__(self):
        self.reads = 0
        self.may_end = asyncio.Event()

    async def read(self):
        self.reads += 1
        await self.may_end.wait()
        return self.reads


async def test_what_many_ask_for_at_a_time_is_read_once():
    shared, source = SharedReads(), Source()
    asked = [asyncio.create_task(shared.get("a", source.read, is_fresh=lambda _: True)) for _ in range(50)]
    other = asyncio.create_task(shared.get("b", source.read, is_fresh=lambda _: True))
    await asyncio.sleep(0)
    source.may_end.set()

    assert len({await each for each in asked}) == 1
    await other
    assert source.reads == 2
    assert await shared.get("a", source.read, is_fresh=lambda _: True) == await asked[0]
    assert source.reads == 2


async def test_a_result_that_is_not_fresh_is_read_again_once_for_all():
    shared, source = SharedReads(), Source()
    source.may_end.set()
    await shared.get("a", source.read, is_fresh=lambda _: True)

    found = await asyncio.gather(*(shared.get("a", source.read, is_fresh=lambda reads: reads >= 2) for _ in range(9)))

    assert (set(found), source.reads) == ({2}, 2)


async def test_one_that_gives_up_does_not_stop_the_others_and_an_error_reaches_all():
    shared, source = SharedReads(), Source()
    first, second = [asyncio.create_task(shared.get("a", source.read, is_fresh=lambda _: True)) for _ in range(2)]
    await asyncio.sleep(0)
    first.cancel()
    source.may_end.set()
    assert await second == 1

    async def fail():
        await asyncio.sleep(0)
        raise ConnectionError("away")

    asked = [shared.get("c", fail, is_fresh=lambda _: True) for _ in range(3)]
    assert {str(each) for each in await asyncio.gather(*asked, return_exceptions=True)} == {"away"}
    with pytest.raises(ConnectionError):
        await shared.get("c", fail, is_fresh=lambda _: True)


async def test_pages_that_share_fragments_get_their_own_changes():
    old, new = RenderedFragments([Fragment("a", "1"), Fragment("b", "1")]), RenderedFragments([Fragment("a", "2")])
    first, second = ChangedFragments(), ChangedFragments()
    first.skip(old)

    assert first.changes(old) == []
    assert first.changes(new) == ['{"id": "b", "html": ""}', '{"id": "a", "html": "2", "in": "", "at": "end"}']
    assert second.changes(new) == first.changes(new) + new.changed({})


async def test_a_result_is_kept_as_long_as_the_caller_says():
    shared, source = SharedReads(), Source()
    source.may_end.set()
    await shared.get("a", source.read, is_fresh=lambda _: True, keep=60)
    await shared.get("b", source.read, is_fresh=lambda _: True, keep=0)

    await shared.get("a", source.read, is_fresh=lambda _: True, keep=60)
    assert source.reads == 2
    await shared.get("b", source.read, is_fresh=lambda _: True, keep=0)
    assert source.reads == 3


def rows(*names, place="end"):
    return RenderedFragments([Fragment(name, name, "", "rows", place) for name in names])


def shown_after(page, messages):
    """Return the ids of a page after messages, as the script of the page applies them."""
    for message in map(json.loads, messages):
        if "order" in message:
            assert set(message["order"]) <= set(page)
            page = message["order"]
        elif message["html"] == "":
            page = [each for each in page if each != message["id"]]
        elif message["id"] not in page:
            page = [message["id"], *page] if message["at"] == "start" else [*page, message["id"]]
    return page


@pytest.mark.parametrize("place", ["start", "end"])
@pytest.mark.parametrize(
    ("old", "new"),
    [("ba", "dcba"), ("dcb", "cba"), ("cba", "ba"), ("ca", "cba"), ("abc", "cab"), ("", "ba"), ("abc", "dbe")],
)
def test_a_page_has_the_rows_in_their_order_after_each_change(old, new, place):
    changed = ChangedFragments()

    before = shown_after(["gone", *old], changed.changes(rows(*old, place=place))) if old else []
    if not old:
        changed.skip(rows())
    after = shown_after(before, changed.changes(rows(*new, place=place)))

    assert (before, after) == (list(old), list(new))


def test_the_order_is_sent_only_when_added_rows_do_not_make_it():
    changed = ChangedFragments()
    changed.skip(rows("b", "a", place="start"))

    added = changed.changes(rows("d", "c", "b", "a", place="start"))
    older = changed.changes(rows("c", "b", "a", "0", place="start"))

    assert [json.loads(each).get("order") for each in added] == [None, None]
    assert json.loads(older[-1]) == {"in": "rows", "order": ["c", "b", "a", "0"]}
