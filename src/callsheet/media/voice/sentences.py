"""Splits a text into sentences, short enough to be spoken in one piece."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_SENTENCE = 240
"""Characters. A longer sentence is split at a comma, or at a space."""

_PARAGRAPHS = re.compile(r"\n[^\S\n]*\n\s*")
_CLOSING = "\"'”’)\\]»」』）】"
_STOPS = ".!?…؟।"
_END = re.compile(rf"(?<![{_STOPS}])[{_STOPS}]++[{_CLOSING}]*+(?=\s)|[。！？｡]+[{_CLOSING}]*")
_UNSPACED = re.compile(r"[。！？｡]")
_CLAUSE_ENDS = re.compile(r"[,;:—–،](?=\s)|[、，；：]")
_LIST_NUMBER = re.compile(r"\(?(\d{1,3}|[A-Za-z])[.)]")
_DOTTED = re.compile(r"(?:[A-Za-z]\.){2,}")
_INITIAL = re.compile(r"[^\W\d_]\.")
_TITLES = """
mr mrs ms mx dr prof sr jr st rev hon gen col capt lt sgt gov sen rep pres messrs mme mlle vs e.g i.e cf viz no nos vol
vols fig figs eq sec ch pp ed eds al approx ca est dept univ z.b d.h u.a bzw nr abb hrsg sra srta dra ud jan feb mar apr
jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun mt ft ave blvd
"""
_OTHER_ABBREVIATIONS = "etc inc ltd co corp bros a.m p.m u.s u.k u.n e.u usw"
_STARTERS = """
the a an it he she they we you i in on at but and so this that these those there then when if as after before my our his
her their its what who why how no yes not for to from with by do did is are was were let please
"""
_NEVER_LAST = frozenset(_TITLES.split())
"""Abbreviations that stand before another word: a sentence never ends with them."""
_SOMETIMES_LAST = frozenset(_OTHER_ABBREVIATIONS.split())
"""Abbreviations that may end a sentence."""
_FIRST_WORDS = frozenset(_STARTERS.split())
"""Words that begin a sentence more often than they continue a name."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A piece of text that is spoken without a break."""

    text: str
    paragraph: int
    """Number of its paragraph, from 0."""
    continues: bool = False
    """Whether it continues the sentence before, which was too long."""


def split_sentences(text: str, limit: int = MAX_SENTENCE) -> list[Sentence]:
    """Return the sentences of a text that contain a letter or a digit.

        split_sentences("Dr. Smith paid $3.50. Why?")  # "Dr. Smith paid $3.50." and "Why?"

    A blank line ends a paragraph; a single line break is a space. Abbreviations, initials, decimal numbers and numbers
    of a list do not end a sentence. Chinese and Japanese sentences need no space between them. A sentence of more than
    `limit` characters is split at a comma, else at a space, else anywhere.
    """
    found: list[Sentence] = []
    for number, paragraph in enumerate(_PARAGRAPHS.split(text.strip())):
        for sentence in _sentences(" ".join(paragraph.split())):
            parts = [part for part in _parts(sentence, limit) if any(map(str.isalnum, part))]
            found += [Sentence(part, number, continues=place > 0) for place, part in enumerate(parts)]
    return found


def _sentences(paragraph: str) -> Iterator[str]:
    start = 0
    for end in _END.finditer(paragraph):
        if _UNSPACED.search(end[0]) or _is_end(paragraph[start : end.end()], paragraph[end.end() :].lstrip()):
            yield paragraph[start : end.end()].strip()
            start = end.end()
    yield paragraph[start:].strip()


def _is_end(sentence: str, following: str) -> bool:
    """Return whether a sentence that ends with punctuation and a space is complete."""
    if following[:1].islower():
        return False
    if not sentence.rstrip(_CLOSING.replace("\\", "")).endswith("."):
        return True
    word = sentence.rsplit(None, 1)[-1].lstrip("(\"“'‘«[")
    name = word.rstrip(".").lower()
    if _LIST_NUMBER.fullmatch(sentence.strip()) or name in _NEVER_LAST:
        return False
    if _INITIAL.fullmatch(word) or _DOTTED.fullmatch(word) or name in _SOMETIMES_LAST:
        return _first_word(following) in _FIRST_WORDS
    return True


def _first_word(text: str) -> str:
    return re.split(r"[^\w']", text.lstrip("\"“'‘«("), maxsplit=1)[0].lower()


def _parts(sentence: str, limit: int) -> Iterator[str]:
    while len(sentence) > limit:
        cut = _cut(sentence, limit)
        yield sentence[:cut].strip()
        sentence = sentence[cut:].strip()
    yield sentence


def _cut(sentence: str, limit: int) -> int:
    """Return where to split a sentence: after the last clause that fits, but not after a very short one."""
    head = sentence[: limit + 1]
    clauses = [match.end() for match in _CLAUSE_ENDS.finditer(head) if limit / 4 < match.end() <= limit]
    if clauses:
        return clauses[-1]
    space = head.rfind(" ")
    return space if space > 0 else limit
