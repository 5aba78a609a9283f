"""Fragments of pages: elements with an id, which an open page replaces when they have changed."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from callsheet.console.rendering import render_macro
from callsheet.db.outages import TRANSIENT_ERRORS


@dataclass(frozen=True, slots=True)
class Fragment:
    """An element of a page."""

    id: str
    html: str
    version: str = ""
    """What decides whether it has changed; empty: its HTML. URLs of files have a new signature at each load."""
    container: str = ""
    """Id of the element that a new fragment is added to."""
    place: Literal["start", "end"] = "end"

    def message(self) -> str:
        """Return the data of the message that inserts or replaces the element."""
        return json.dumps({"id": self.id, "html": self.html, "in": self.container, "at": self.place})


def removal(fragment_id: str) -> str:
    """Return the data of the message that removes an element."""
    return json.dumps({"id": fragment_id, "html": ""})


def rows_of(template: str, macro: str, items: Iterable[Any], container: str, *more: Any) -> list[Fragment]:
    """Return one fragment for each item, a row of a table with the id of its item."""
    return [
        Fragment(f"{container}-{row_id(item)}", render_macro(template, macro, item, *more), "", container)
        for item in items
    ]


def row_id(item: Any) -> str:
    """Return what the row of an item is named by: its id, else its name."""
    return str(item.id if hasattr(item, "id") else item.name)


class RenderedFragments:
    """The fragments of a page with their digests and messages, which many open pages can share."""

    def __init__(self, fragments: Iterable[Fragment]) -> None:
        self._fragments = list(fragments)
        self.digests = {fragment.id: _digest(fragment) for fragment in self._fragments}
        self._messages: dict[str, str] = {}

    def changed(self, known: Mapping[str, bytes]) -> list[str]:
        """Return the messages of those that are not known with their digest. Each is encoded once."""
        return [self._message(each) for each in self._fragments if known.get(each.id) != self.digests[each.id]]

    def _message(self, fragment: Fragment) -> str:
        if fragment.id not in self._messages:
            self._messages[fragment.id] = fragment.message()
        return self._messages[fragment.id]


class ChangedFragments:
    """Compares the fragments of a page with those that the page has."""

    def __init__(self) -> None:
        self._known: Mapping[str, bytes] = {}

    def skip(self, rendered: RenderedFragments) -> None:
        """Remember fragments that the page has."""
        self._known = rendered.digests

    def changes(self, rendered: RenderedFragments) -> list[str]:
        """Return the data of messages that bring the page up to date."""
        known = self._known
        self.skip(rendered)
        if known is rendered.digests:
            return []
        gone = [removal(fragment_id) for fragment_id in known if fragment_id not in rendered.digests]
        return gone + rendered.changed(known)


def _digest(fragment: Fragment) -> bytes:
    return hashlib.blake2b((fragment.version or fragment.html).encode(), digest_size=16).digest()


async def changed_fragments(render: Callable[[], Awaitable[list[Fragment]]], *, every: float) -> AsyncIterator[str]:
    """Yield the messages of an event stream for a page that is rendered again every `every` seconds."""
    changed = ChangedFragments()
    while True:
        try:
            for data in changed.changes(RenderedFragments(await render())):
                yield f"data: {data}\n\n"
        except TRANSIENT_ERRORS:
            yield ": database unavailable, retrying\n\n"
        await asyncio.sleep(every)
