"""The navigation of the site, read from docs/README.md: the one place that lists the pages."""

import re
from dataclasses import dataclass

_SECTION = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_QUESTION = re.compile(r"^- (.+(?:\n  .+)*)", re.MULTILINE)
_LINK = re.compile(r"\[([^]]+)\]\(([^)#\s]+\.md)\)")


@dataclass(frozen=True)
class Entry:
    """A page, or a group of them: `page` is the path below docs/, or none for a group."""

    title: str
    page: str | None = None
    children: tuple["Entry", ...] = ()

    def pages(self) -> list[str]:
        """Return the pages of this entry and of those below it."""
        return [*([self.page] if self.page else []), *(page for child in self.children for page in child.pages())]


def navigation(index: str) -> tuple[Entry, ...]:
    """Return the sections of the index with their pages.

    A line with one link is a page. A line with several is a group: its first link and a colon name it, or else
    the words before the colon: `Decision records: [the job row is the queue](…), …`.
    """
    sections = [(found[1], found[2]) for found in _SECTION.finditer(index)]
    made = [Entry(title, children=tuple(map(_entry, _questions(text)))) for title, text in sections if _questions(text)]
    return (Entry("Documentation", "README.md"), *made)


def missing_pages(entries: tuple[Entry, ...], pages: set[str]) -> set[str]:
    """Return the pages that the navigation does not name."""
    return pages - {page for entry in entries for page in entry.pages()}


def as_toml(entries: tuple[Entry, ...]) -> str:
    """Return the value of `nav` of a zensical.toml."""
    return f"[{', '.join(map(_as_toml, entries))}]"


def _as_toml(entry: Entry) -> str:
    own = f'{{"{entry.title}" = "{entry.page}"}}'
    if not entry.children:
        return own
    children = ", ".join([*([own] if entry.page else []), *map(_as_toml, entry.children)])
    return f'{{"{entry.title}" = [{children}]}}'


def _questions(text: str) -> list[str]:
    return [found[1] for found in _QUESTION.finditer(text) if _LINK.search(found[1])]


def _entry(question: str) -> Entry:
    links = [Entry(_capitalized(title), page) for title, page in _LINK.findall(question)]
    if len(links) == 1:
        return links[0]
    before, _, _ = question.partition("[")
    if question.partition(")")[2].startswith(":"):
        return Entry(links[0].title, links[0].page, tuple(links[1:]))
    return Entry(re.split(r"[?.] ", before)[-1].strip().rstrip(":"), children=tuple(links))


def _capitalized(title: str) -> str:
    return title[:1].upper() + title[1:]
