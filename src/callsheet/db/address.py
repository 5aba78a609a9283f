"""The address of a PostgreSQL database: read once, into the arguments of a connection.

Every client library has its own parameters, and people copy addresses from one to the other. So all of them are known
here: some are used, some are ignored with a warning, and some are rejected by name. An error shows no value, because
any part of an unquoted password may look like one.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, unquote

from callsheet.db.address_parameters import read_parameters
from callsheet.domain.errors import ConfigurationError

DEFAULT_SCHEMA = "callsheet"
_FORM = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or host=HOST port=PORT user=USER dbname=DATABASE and so on"
_SCHEME = re.compile(r"postgres(?:ql)?(?:\+\w+)?://", re.IGNORECASE)
_ENCODE = "Encode these characters in user and password: / as %2F, ? as %3F, # as %23, @ as %40, % as %25"
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\[\]:@\s]*)(?::(?P<port>\d{0,5}))?")
_PAIR = re.compile(
    r"\s{0,99}([^\s=]{1,63})\s{0,99}=\s{0,99}('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*|)(?=\s|$)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """A database, as its clients need it. Created by `parse_address`."""

    hosts: tuple[str, ...] = ()
    """Host names, or folders of Unix sockets; empty: the defaults of libpq, which also reads PGHOST."""
    ports: tuple[int, ...] = ()
    """One per host, or one for all; empty: 5432."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: str | None = None
    schema: str = DEFAULT_SCHEMA
    """The schema of all tables."""
    tls: dict[str, str] = field(default_factory=dict, repr=False, hash=False)
    """Parameters of TLS, and others that asyncpg reads from an address only."""
    connect_timeout: float | None = None
    """Seconds."""
    target_session_attrs: str | None = None
    application_name: str | None = None
    startup_options: str | None = None
    """What a pooler reads at the start of a connection, such as `endpoint=…` (Neon)."""
    session: dict[str, str] = field(default_factory=dict, hash=False)
    """Settings of each session, from `options`."""
    ignored: tuple[str, ...] = ()
    """A sentence for each parameter without effect."""

    def __str__(self) -> str:
        """Return host, port and database: nothing secret."""
        ports = self.ports * len(self.hosts) if len(self.ports) == 1 else self.ports
        where = [f"{host}:{port}" for host, port in zip(self.hosts, ports, strict=False)] if ports else self.hosts
        return f"{','.join(where) or 'localhost'}/{self.database or self.user or ''}"

    @property
    def reporting_schema(self) -> str:
        """The schema of the views for other systems."""
        return "reporting" if self.schema == DEFAULT_SCHEMA else f"{self.schema}_reporting"

    def each_host(self) -> "list[DatabaseAddress]":
        """Return the address with each of its hosts alone."""
        ports = self.ports * len(self.hosts) if len(self.ports) == 1 else self.ports or (5432,) * len(self.hosts)
        return [replace(self, hosts=(host,), ports=(port,)) for host, port in zip(self.hosts, ports, strict=True)]

    def channel(self, name: str) -> str:
        """Return the notification channel of this name. It differs between installations in one database."""
        return f"{self.schema}_{name}"

    def arguments(self, application_name: str) -> dict[str, Any]:
        """Return the arguments of `asyncpg.connect`. Poolers know all of its startup parameters."""
        settings = {"application_name": self.application_name or application_name}
        if self.startup_options:
            settings["options"] = self.startup_options
        tls, trust_system = self.tls, self.tls.get("sslrootcert") == "system"
        if trust_system:
            tls = {name: value for name, value in tls.items() if name not in ("sslmode", "sslrootcert")}
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in tls.items())
        return {
            "dsn": f"postgresql://?{query}" if query else None,
            "ssl": True if trust_system else None,
            "host": list(self.hosts) or None,
            "port": list(self.ports) or None,
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "target_session_attrs": self.target_session_attrs,
            "server_settings": settings,
        }


def parse_address(text: str, *, schema: str = DEFAULT_SCHEMA) -> DatabaseAddress:
    """Read an address: a URL, or the `name=value` form of libpq. `schema` is the schema of the tables.

    Raises ConfigurationError with all problems. Its message contains no value of the address.
    """
    text = text.strip()
    problems: list[str] = []
    try:
        pairs = _read_url(text) if _SCHEME.match(text) else _read_pairs(text)
        parsed = read_parameters(pairs, problems)
    except ValueError as error:
        raise invalid_address(str(error)) from None
    if len(parsed.ports) > 1 and len(parsed.ports) != len(parsed.hosts):
        problems.append(f"it has {len(parsed.hosts)} hosts and {len(parsed.ports)} ports")
    if problems:
        raise invalid_address("; ".join(dict.fromkeys(problems)))
    return DatabaseAddress(schema=schema, **parsed.as_arguments())


def invalid_address(problem: str) -> ConfigurationError:
    """Return the error for an invalid address."""
    return ConfigurationError(f"DATABASE_URL is invalid: {problem}. It has the form {_FORM}.")


def _read_url(text: str) -> list[tuple[str, str]]:
    rest = text[text.index("://") + 3 :]
    end = next((at for at, character in enumerate(rest) if character in "/?#"), len(rest))
    authority, rest = rest[:end], rest[end:]
    if "@" in rest or "#" in rest:
        raise ValueError(f"user or password contains an unencoded /, ? or #. {_ENCODE}")
    if _BAD_ESCAPE.search(authority + rest):
        raise ValueError(f"a % is not followed by two hexadecimal digits. {_ENCODE}")
    path, _, query = rest.partition("?")
    login, _, hosts = authority.rpartition("@")
    user, _, password = login.partition(":")
    pairs = [*_read_hosts(hosts)]
    pairs += [("user", unquote(user))] if user else []
    pairs += [("password", unquote(password))] if password else []
    pairs += [("dbname", unquote(path[1:]))] if len(path) > 1 else []
    return pairs + [_read_query_pair(part) for part in query.split("&") if part]


def _read_hosts(text: str) -> list[tuple[str, str]]:
    if not text:
        return []
    matches = [_HOST.fullmatch(part) for part in text.split(",")]
    if not all(matches):
        raise ValueError(f"the part between '@' and the database is not HOST:PORT. {_ENCODE}")
    hosts = [unquote(match["host"].strip("[]")) for match in matches if match]
    ports = [match["port"] or "" for match in matches if match]
    return [("host", ",".join(hosts))] + ([("port", ",".join(ports))] if any(ports) else [])


def _read_query_pair(part: str) -> tuple[str, str]:
    name, equals, value = part.partition("=")
    if not equals:
        raise ValueError(f"a parameter after '?' has no value. {_ENCODE}")
    return unquote(name), unquote(value)


def _read_pairs(text: str) -> list[tuple[str, str]]:
    """Read `name=value` pairs. A value with spaces is in single quotes; a backslash quotes one character."""
    pairs, at = [], 0
    if text[:1] in ("'", '"'):
        raise ValueError("it starts with a quotation mark; remove the quotation marks around it")
    if re.match(r"[\w+.-]{1,30}://", text):
        raise ValueError("it does not start with postgresql://")
    while at < len(text):
        match = _PAIR.match(text, at)
        if match is None:
            what = "it is neither a URL nor a list of name=value" if at == 0 else "a value with spaces needs '…'"
            raise ValueError(f"{what}, or a user or password has characters that must be quoted")
        value = match[2][1:-1] if match[2].startswith("'") else match[2]
        pairs.append((match[1], re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)))
        at = match.end()
        at += len(text[at:]) - len(text[at:].lstrip())
    if not pairs:
        raise ValueError("it is empty")
    return pairs
