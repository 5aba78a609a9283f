"""Text documents in place of media files: error pages, login pages, error messages of APIs and object stores."""

import html
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from callsheet.logs import redact_secrets

_HEAD = 4096
"""Bytes that are read."""
_MAX_EXCERPT = 80
"""Characters."""
_HTML = re.compile(r"<(!doctype\s+html|html|head|body|title|meta)\b", re.IGNORECASE)
_PROLOG = re.compile(r"(<\?xml[^>]{0,200}\?>|<!--.{0,500}?-->|<!doctype[^>]{0,200}>|\s)+", re.IGNORECASE | re.DOTALL)
_SVG_ROOT = re.compile(r"<(\w+:)?svg\b")
_STORE_ERROR_ROOT = re.compile(r"<Error\b")
_XML_ROOT = re.compile(r"<[A-Za-z_][\w.:-]*[\s/>]")
_TITLE = re.compile(r"<title[^>]{0,200}>(.{0,500}?)</title>", re.IGNORECASE | re.DOTALL)
_INVISIBLE = re.compile(r"<(script|style)\b.*?(</\1>|$)|<!--.*?(-->|$)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*(>|$)")
_URL_QUERY = re.compile(r"(https?://[^\s\"'<>?#]{1,2000})[?#][^\s\"'<>]*", re.IGNORECASE)

DocumentKind = Literal["html", "svg", "store_error", "xml", "json", "text"]
"""`store_error`: the XML of an error of an object store."""

_NAMES: dict[DocumentKind, str] = {
    "html": "an HTML page",
    "svg": "an SVG image",
    "store_error": "an XML error",
    "xml": "an XML document",
    "json": "a JSON document",
    "text": "a text",
}


@dataclass(frozen=True, slots=True)
class Document:
    """A text document, recognized by its beginning."""

    kind: DocumentKind
    excerpt: str
    """Its title or first words, without markup and secrets."""

    @property
    def name(self) -> str:
        """What it is, for messages: "an HTML page"."""
        return _NAMES[self.kind]


def read_document(path: Path) -> Document | None:
    """Return the document in a file; None if the file is empty or does not begin with text."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    text = _decode(head)
    if text is None or not text.strip():
        return None
    kind = _kind(text.lstrip())
    return Document(kind, _excerpt(kind, text))


def _decode(head: bytes) -> str | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", "replace").lstrip("\ufeff")
    if b"\0" in head:
        return None
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # not a character that the end of the head cuts
            return None
        text = head[: error.start].decode("utf-8-sig")
    printable = sum(character.isprintable() or character in "\t\r\n\f" for character in text)
    return text if printable == len(text) else None


def _kind(text: str) -> DocumentKind:
    if text.startswith(("{", "[")):
        return "json"
    if not text.startswith("<"):
        return "text"
    root = text[match.end() :] if (match := _PROLOG.match(text)) else text
    for kind, pattern in (("svg", _SVG_ROOT), ("store_error", _STORE_ERROR_ROOT)):
        if pattern.match(root):
            return kind  # type: ignore[return-value]
    if _HTML.search(text):
        return "html"
    return "xml" if text.startswith("<?xml") or _XML_ROOT.match(root) else "text"


def _excerpt(kind: DocumentKind, text: str) -> str:
    if kind == "html":
        title = _TITLE.search(text)
        text = title[1] if title and title[1].strip() else _INVISIBLE.sub(" ", text)
    if kind not in ("json", "text"):
        text = html.unescape(_TAG.sub(" ", text))
    text = redact_secrets(_URL_QUERY.sub(r"\1", " ".join(text.split())))
    return text if len(text) <= _MAX_EXCERPT else text[: _MAX_EXCERPT - 1].rstrip() + "…"
