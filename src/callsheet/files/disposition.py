"""The Content-Disposition header (RFC 6266): the suggested file name of a download."""

import re
from urllib.parse import quote, unquote

_EXTENDED = re.compile(r"(?:^|[;\s])filename\*\s*=\s*([\w.-]*)'[^']*'([^\s;\"]+)", re.IGNORECASE)
_QUOTED = re.compile(r'(?:^|[;\s])filename\s*=\s*"((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_PLAIN = re.compile(r"(?:^|[;\s])filename\s*=\s*([^\s;\"]+)", re.IGNORECASE)
_ATTR_CHARS = "!#$&+-.^_`|~"


def content_disposition(name: str, *, inline: bool = False) -> str:
    """Return the header value for a file name, with an ASCII fallback for old clients."""
    kind = "inline" if inline else "attachment"
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", name)
    if plain == name:
        return f'{kind}; filename="{name}"'
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS)}"


def parse_file_name(header: str) -> str | None:
    """Return the file name in a Content-Disposition header, unsanitized; None without one."""
    if match := _EXTENDED.search(header):
        charset = "latin-1" if match[1].lower() == "iso-8859-1" else "utf-8"
        return unquote(match[2], encoding=charset, errors="replace")
    if match := _QUOTED.search(header):
        return re.sub(r"\\(.)", r"\1", match[1])
    match = _PLAIN.search(header)
    return match[1] if match else None
