"""Fragments of pages: elements with an id, which an open page replaces when they have changed."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from callsheet.console.rendering import render_macro


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


def arrangement(container: str, ids: list[str]) -> str:
    """Return the data of the message that names all elements of a container in their order; others are removed."""
    return json.dumps({"in": container, "order": ids})


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
    """The fragments of a page, as it shows them, with their digests and messages, which many open pages can share."""

    def __init__(self, fragments: Iterable[Fragment]) -> None:
        shown = list(fragments)
        # Each one that is added at the start comes above those that were added before.
        self._fragments = [each for each in shown if each.place == "end"]
        self._fragments += [each for each in reversed(shown) if each.place == "start"]
        self.digests = {fragment.id: _digest(fragment) for fragment in self._fragments}
        self._messages: dict[str, str] = {}
        self._orders: dict[str, list[str]] = {}
        for fragment in shown:
            if fragment.container:
                self._orders.setdefault(fragment.container, []).append(fragment.id)

    def changed(self, known: Mapping[str, bytes]) -> list[str]:
        """Return the messages of those that are not known with their digest. Each is encoded once."""
        return [self._message(each) for each in self._fragments if known.get(each.id) != self.digests[each.id]]

    def arranged(self, known: "RenderedFragments") -> list[str]:
        """Return the messages of containers whose elements have another order, when the changed ones are added."""
        left = {name: [each for each in ids if each in self.digests] for name, ids in known._orders.items()}
        for fragment in self._fragments:
            if fragment.container and fragment.id not in known.digests:
                ids = left.setdefault(fragment.container, [])
                ids.insert(0 if fragment.place == "start" else len(ids), fragment.id)
        return [arrangement(name, ids) for name, ids in self._orders.items() if left.get(name) != ids]

    def arrangements(self) -> list[str]:
        """Return the messages with the order of all containers."""
        return [arrangement(name, ids) for name, ids in self._orders.items()]

    def _message(self, fragment: Fragment) -> str:
        if fragment.id not in self._messages:
            self._messages[fragment.id] = fragment.message()
        return self._messages[fragment.id]


class ChangedFragments:
    """Compares the fragments of a page with those that the page has."""

    def __init__(self) -> None:
        self._known: RenderedFragments | None = None

    def skip(self, rendered: RenderedFragments) -> None:
        """Remember fragments that the page has."""
        self._known = rendered

    def changes(self, rendered: RenderedFragments) -> list[str]:
        """Return the data of messages that bring the page up to date.

        At first these are all fragments, and the order of each container: what was in the page before may be gone.
        """
        known = self._known
        self.skip(rendered)
        if known is rendered:
            return []
        if known is None:
            return rendered.changed({}) + rendered.arrangements()
        gone = [removal(fragment_id) for fragment_id in known.digests if fragment_id not in rendered.digests]
        return gone + rendered.changed(known.digests) + rendered.arranged(known)


def _digest(fragment: Fragment) -> bytes:
    return hashlib.blake2b((fragment.version or fragment.html).encode(), digest_size=16).digest()
