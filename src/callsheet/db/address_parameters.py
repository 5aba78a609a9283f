"""The parameters of database addresses: those of libpq, and those that other client libraries add."""

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from callsheet.domain.did_you_mean import did_you_mean

_TLS_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SSL_WORDS = {"true": "require", "1": "require", "false": "disable", "0": "disable", "no-verify": "require"}
"""How node-postgres, SQLAlchemy and JDBC write `sslmode`."""
_WRITABLE = ("any", "primary", "read-write")
_TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")

CHOICES: Mapping[str, tuple[str, ...]] = {
    "sslmode": _TLS_MODES,
    "sslnegotiation": ("postgres", "direct"),
    "ssl_min_protocol_version": _TLS_VERSIONS,
    "ssl_max_protocol_version": _TLS_VERSIONS,
    "gsslib": ("gssapi", "sspi"),
    "target_session_attrs": _WRITABLE,
    "gssencmode": ("disable", "prefer"),
    "client_encoding": ("auto", "utf8", "utf-8", "unicode"),
    "sslaccept": ("accept_invalid_certs",),
}
"""The values of parameters that are not free."""

_WHY: Mapping[str, str] = {
    "target_session_attrs": "Callsheet writes, so it cannot use a standby",
    "gssencmode": "Callsheet does not encrypt with GSSAPI",
    "client_encoding": "Callsheet uses UTF-8",
    "sslaccept": "to verify the certificate, write sslmode=verify-full&sslrootcert=system",
}

_FOR_ASYNCPG = (
    "sslmode sslrootcert sslcert sslkey sslcrl sslpassword sslnegotiation ssl_min_protocol_version "
    "ssl_max_protocol_version krbsrvname gsslib passfile service"
)
"""Parameters that asyncpg reads from an address only."""
_OURS = "host port user password dbname database ssl connect_timeout application_name options target_session_attrs"
_USED = f"{_FOR_ASYNCPG} {_OURS}".split(" ")


def _each(names: str, reason: str) -> dict[str, str]:
    return dict.fromkeys(names.split(" "), reason)


_SCHEMA = "CALLSHEET_DATABASE_SCHEMA is the schema of the tables"
IGNORED: Mapping[str, str] = {
    # libpq.
    "channel_binding": "the client library does not support it; sslmode=verify-full verifies the server, too",
    **_each("gssencmode client_encoding", ""),
    **_each("keepalives keepalives_idle keepalives_interval keepalives_count", "Callsheet pings its connections"),
    "tcp_user_timeout": "Callsheet sets its own timeouts",
    "load_balance_hosts": "hosts are tried in the given order",
    "fallback_application_name": "application_name is the parameter",
    **_each("sslcompression sslsni sslcertmode gssdelegation", "it is not needed"),
    # Prisma, and the hosters that write addresses for it.
    **_each("schema currentSchema", _SCHEMA),
    "pgbouncer": "Callsheet detects a pooler by itself",
    "sslaccept": "sslmode decides what is verified",
    **_each("supa workaround", "it is a label of the hoster"),
    # Pools, timeouts and prepared statements of other client libraries.
    **_each(
        "connection_limit pool pool_size max_overflow max_connections",
        "CALLSHEET_DATABASE_POOL_SIZE is the number of connections",
    ),
    **_each(
        "pool_timeout socket_timeout command_timeout timeout socketTimeout loginTimeout",
        "Callsheet sets its own timeouts",
    ),
    **_each("tcpKeepAlive reconnect pool_pre_ping pool_recycle", "Callsheet pings its connections"),
    **_each(
        "statement_cache_size prepared_statement_cache_size prepared_statement_name_func prepared_statements "
        "prepareThreshold prepare_threshold uselibpqcompat encoding async_fallback",
        "it is not needed",
    ),
}
"""Parameters without effect → why. An empty reason: no warning, because nothing is lost."""

REFUSED: Mapping[str, str] = {
    "hostaddr": "write the address as host",
    "replication": "Callsheet does not replicate",
    "requiressl": "write sslmode=require",
    "require_auth": "Callsheet cannot restrict the method of the login",
    "requirepeer": "Callsheet cannot verify the user of the server",
    "sslcrldir": "write sslcrl",
    "sslidentity": "write sslcert and sslkey",
    "search_path": _SCHEMA,
}
"""Parameters that Callsheet does not support, and whose loss would matter → what to do instead."""

_SECRETS = ("password", "sslpassword")
_NAME = re.compile(r"[A-Za-z][A-Za-z_]{0,39}")
_SETTING = re.compile(r"[A-Za-z_][\w.]*")


@dataclass(slots=True)
class Parameters:
    """What the parameters of an address say."""

    hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    user: str | None = None
    password: str | None = None
    database: str | None = None
    tls: dict[str, str] = field(default_factory=dict)
    connect_timeout: float | None = None
    target_session_attrs: str | None = None
    application_name: str | None = None
    startup_options: str | None = None
    session: dict[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    def as_arguments(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {name: getattr(self, name) for name in self.__slots__}


def read_parameters(pairs: list[tuple[str, str]], problems: list[str]) -> Parameters:
    """Read the parameters of an address. Of a repeated one the last counts. Append all problems."""
    given: dict[str, str] = {}
    before = ""
    for name, value in pairs:
        if name in _USED or name in IGNORED:
            _check_choice(name, value, problems)
            given[name] = value
        else:
            problems.append(_refusal(name, before))
            continue
        before = name
    return _parameters(given, problems)


def _parameters(given: Mapping[str, str], problems: list[str]) -> Parameters:
    read = Parameters(
        hosts=tuple(given["host"].split(",")) if given.get("host") else (),
        ports=_ports(given.get("port", ""), problems),
        user=given.get("user") or None,
        password=given.get("password") or None,
        database=given.get("dbname") or given.get("database") or None,
        tls={name: given[name] for name in _FOR_ASYNCPG.split(" ") if given.get(name)},
        connect_timeout=_timeout(given.get("connect_timeout", ""), problems),
        target_session_attrs=given.get("target_session_attrs") or None,
        application_name=given.get("application_name") or None,
        ignored=tuple(_warnings(given)),
    )
    if "ssl" in given:
        read.tls.setdefault("sslmode", _SSL_WORDS.get(given["ssl"].lower(), given["ssl"]))
    if mode := read.tls.get("sslmode"):
        read.tls["sslmode"] = _SSL_WORDS.get(mode, mode)
    problems += _certificate_problems(read.tls)
    _read_options(given.get("options", ""), read, problems)
    return read


def _certificate_problems(tls: Mapping[str, str]) -> Iterator[str]:
    root, mode = tls.get("sslrootcert") or os.environ.get("PGSSLROOTCERT"), tls.get("sslmode", "")
    if root == "system" and mode not in ("verify-full", ""):
        yield "the parameter sslrootcert=system needs sslmode=verify-full"
    if mode.startswith("verify") and root is None and not Path("~/.postgresql/root.crt").expanduser().is_file():
        yield f"the parameter sslmode={mode} needs sslrootcert: the file of a certificate authority, or 'system'"
    for name in ("sslrootcert", "sslcert", "sslkey", "sslcrl"):
        if tls.get(name, "system") != "system" and not Path(tls[name]).is_file():
            yield f"the parameter '{name}' names a file that does not exist"


def _check_choice(name: str, value: str, problems: list[str]) -> None:
    choices = CHOICES.get("sslmode" if name == "ssl" else name)
    if choices is None or not value:
        return
    allowed = (*choices, *_SSL_WORDS) if name in ("ssl", "sslmode") else choices
    if value not in allowed and value.lower() not in allowed:
        why = f" ({_WHY[name]})" if name in _WHY else ""
        problems.append(f"the parameter '{name}' allows {', '.join(choices)}{why}")


def _refusal(name: str, before: str) -> str:
    if name in REFUSED:
        return f"the parameter '{name}' is not supported: {REFUSED[name]}"
    if before in _SECRETS or not _NAME.fullmatch(name):
        # It may be a part of a password that contains a space or an `&`.
        return "a parameter has an unknown name; quote or encode special characters of user and password"
    known = did_you_mean(name, [*_USED, *IGNORED])
    return f"the parameter '{name}' is unknown{known or '; settings of the server go into options=-c name=value'}"


def _warnings(given: Mapping[str, str]) -> list[str]:
    found = []
    for name in given:
        if (reason := IGNORED.get(name)) and not (name == "channel_binding" and given[name] != "require"):
            found.append(f"{name} has no effect: {reason}")
    return found


def _ports(text: str, problems: list[str]) -> tuple[int, ...]:
    parts = text.split(",") if text else []
    if not all(not part or (part.isdecimal() and 0 < int(part) < 65536) for part in parts):
        problems.append("a port is not a number from 1 to 65535")
        return ()
    return tuple(int(part or 5432) for part in parts)


def _timeout(text: str, problems: list[str]) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        problems.append("the parameter 'connect_timeout' is not a number of seconds")
        return None
    return seconds if 0 < seconds < 86400 else None


def _read_options(text: str, read: Parameters, problems: list[str]) -> None:
    """Split `options`: `-c name=value` is set after connecting, since poolers reject it; the rest is for a pooler."""
    try:
        words = iter(shlex.split(text))
    except ValueError:
        problems.append("the parameter 'options' has an open quotation mark")
        return
    rest = []
    for word in words:
        setting = next(words, "") if word == "-c" else word.removeprefix("--" if word.startswith("--") else "-c")
        if word.startswith("-"):
            name, equals, value = setting.partition("=")
            if not equals or not _SETTING.fullmatch(name):
                problems.append("the parameter 'options' has the form -c name=value")
            elif name == "search_path":
                read.ignored += (f"search_path has no effect: {_SCHEMA}",)
            else:
                read.session[name.replace("-", "_")] = value
        else:
            rest.append(word)
    read.startup_options = " ".join(rest) or None
