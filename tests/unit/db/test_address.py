"""Addresses of databases, as hosters, ORMs and people write them."""

from urllib.parse import quote

import pytest
from hypothesis import given, strategies

from callsheet.db.address import parse_address
from callsheet.domain.errors import ConfigurationError

SECRETS = ["Winter", "Kaefer9"]


def parsed(text):
    """The parts of an address that say where and who."""
    address = parse_address(text)
    return address.hosts, address.ports, address.user, address.password, address.database


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://cs:pw@db:5433/films", (("db",), (5433,), "cs", "pw", "films")),
        ("postgres://cs:pw@db/films", (("db",), (), "cs", "pw", "films")),
        ("postgresql+asyncpg://cs:pw@db/films", (("db",), (), "cs", "pw", "films")),
        ("postgresql://db", (("db",), (), None, None, None)),
        ("postgresql://cs@[::1]:5433,db2/films", (("::1", "db2"), (5433, 5432), "cs", None, "films")),
        ("postgresql:///films?host=/run/postgresql&user=cs", (("/run/postgresql",), (), "cs", None, "films")),
        ("postgresql://cs@%2Frun%2Fpostgresql/films", (("/run/postgresql",), (), "cs", None, "films")),
        ("postgresql://cs:Winter%2FKaefer9@db/films", (("db",), (), "cs", "Winter/Kaefer9", "films")),
        ("postgresql://cs:Winter@Kaefer9@db/films", (("db",), (), "cs", "Winter@Kaefer9", "films")),
        ("postgresql://cs:Winter[Kaefer9@db/films", (("db",), (), "cs", "Winter[Kaefer9", "films")),
        ("postgresql://cs:Winter:Kaefer9@db/films", (("db",), (), "cs", "Winter:Kaefer9", "films")),
        ("host=db port=5433 user=cs password=pw dbname=films", (("db",), (5433,), "cs", "pw", "films")),
        (r"host = db password = 'it\'s # /' user=cs dbname=films", (("db",), (), "cs", "it's # /", "films")),
        (r"host=db password=a\ b dbname=films", (("db",), (), None, "a b", "films")),
    ],
)
def test_an_address_is_understood(text, expected):
    assert parsed(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://cs:Winter/Kaefer9@127.0.0.1:1/cs",
        "postgresql://cs:Winter#Kaefer9@127.0.0.1:1/cs",
        "postgresql://cs:Winter?Kaefer9@127.0.0.1:1/cs",
        "postgresql://cs:Winter?Kaefer9=1@127.0.0.1:1/cs",
        "postgresql://cs:Winter?a=1&Kaefer9=1@127.0.0.1:1/cs",
        "postgresql://cs:Winter@x?Kaefer9=1@127.0.0.1:1/cs",
        "postgresql://cs:12/Kaefer9@127.0.0.1:1/cs",
        "postgresql://cs:Winter%Kaefer9@127.0.0.1:1/cs",
        "postgresql://cs:Winter Kaefer9@127.0.0.1:port/cs",
        "postgresql://cs@db/cs?password=Winter&Kaefer9=1&sslmode=require",
        "postgresql://cs@db/cs?password=a&Winter=1&Kaefer9=1",
        "host=db password=Winter Kaefer9 dbname=cs",
        "host=db password=Winter Kaefer9=1 dbname=cs",
        "host=db password=Winter'Kaefer9 ' dbname=cs",
        "host=db password='Winter Kaefer9 dbname=cs",
        "'postgresql://cs:Winter@Kaefer9/cs'",
        "mysql://cs:Winter@Kaefer9/cs",
        "cs:Winter@Kaefer9/cs",
        "postgresql://cs:Winter@db/cs?sslmode=Kaefer9",
        "postgresql://cs:Winter@db/cs?connect_timeout=Kaefer9",
        "postgresql://cs:Winter@db/cs?port=Kaefer9",
        "postgresql://cs:Winter@db/cs?options=-c%20Kaefer9",
        "postgresql://cs:Winter@db/cs?options='Kaefer9",
    ],
)
def test_an_invalid_address_is_refused_without_any_part_of_its_password(text):
    with pytest.raises(
        ConfigurationError, match=r"^DATABASE_URL is invalid: .* It has the form postgresql://"
    ) as caught:
        parse_address(text)

    assert [part for part in SECRETS if part in str(caught.value) or part in repr(caught.value.__cause__)] == []


@given(strategies.text("abcXYZ019/#?[]@%:&=+ '\\\"", min_size=6, max_size=12))
def test_an_unencoded_password_is_understood_or_never_shown(password):
    for text in (f"postgresql://cs:{password}@db:5432/films", f"host=db password={password} dbname=films"):
        try:
            address = parse_address(text)
        except ConfigurationError as error:
            shown = error.message
        else:
            shown = f"{address} {address!r} {address.ignored}"
        assert password not in shown


def test_all_problems_of_an_address_are_listed_with_the_names_of_the_parameters():
    with pytest.raises(ConfigurationError) as caught:
        parse_address("postgresql://db/films?sslmod=require&hostaddr=::1&sslmode=strict&target_session_attrs=standby")

    for part in (
        "'sslmod' is unknown, did you mean 'sslmode'?",
        "'hostaddr' is not supported: write the address as host",
        "'sslmode' allows disable, allow, prefer, require, verify-ca, verify-full",
        "'target_session_attrs' allows any, primary, read-write (Callsheet writes, so it cannot use a standby)",
    ):
        assert part in caught.value.message


NEON = (
    "postgresql://alex:pw@ep-cool-1.eu-central-1.aws.neon.tech/neondb?sslmode=require&channel_binding=require"
    "&options=endpoint%3Dep-cool-1"
)
PRISMA = "postgresql://cs:pw@db:5432/films?schema=public&pgbouncer=true&connection_limit=1&pool_timeout=0"
RDS = (
    "host=films.eu-central-1.rds.amazonaws.com port=5432 dbname=films user=cs sslmode=verify-full "
    "sslrootcert={file} connect_timeout=10 keepalives=1 keepalives_idle=30 gssencmode=disable "
    "target_session_attrs=read-write application_name=films"
)


def test_the_address_of_neon_names_its_endpoint_at_the_start_of_a_connection():
    address = parse_address(NEON)

    arguments = address.arguments("callsheet")
    assert arguments["server_settings"] == {"application_name": "callsheet", "options": "endpoint=ep-cool-1"}
    assert arguments["dsn"] == "postgresql://?sslmode=require"
    assert [line.partition(" ")[0] for line in address.ignored] == ["channel_binding"]


def test_parameters_of_prisma_are_ignored_with_a_warning_each():
    address = parse_address(PRISMA)

    assert address.schema == "callsheet"
    assert [line.partition(" ")[0] for line in address.ignored] == [
        "schema",
        "pgbouncer",
        "connection_limit",
        "pool_timeout",
    ]


def test_parameters_of_libpq_are_used(tmp_path):
    file = tmp_path / "rds.pem"
    file.touch()
    address = parse_address(RDS.format(file=file))

    arguments = address.arguments("callsheet")
    assert arguments["dsn"] == f"postgresql://?sslmode=verify-full&sslrootcert={quote(str(file), safe='')}"
    assert arguments["server_settings"] == {"application_name": "films"}
    assert (address.connect_timeout, address.target_session_attrs) == (10, "read-write")
    assert [line.partition(" ")[0] for line in address.ignored] == ["keepalives", "keepalives_idle"]


def test_settings_in_options_become_settings_of_the_session():
    address = parse_address(
        "postgresql://db/films?options=-c%20statement_timeout%3D5min%20--work_mem%3D8MB%20-csearch_path%3Dothers"
    )

    assert address.session == {"statement_timeout": "5min", "work_mem": "8MB"}
    assert address.startup_options is None
    assert address.ignored[0].startswith("search_path has no effect")


def test_the_certificates_of_the_system_verify_the_host_name():
    arguments = parse_address("postgresql://db/films?sslmode=verify-full&sslrootcert=system").arguments("callsheet")

    assert (arguments["ssl"], arguments["dsn"]) == (True, None)
    with pytest.raises(ConfigurationError, match="sslrootcert=system needs sslmode=verify-full"):
        parse_address("postgresql://db/films?sslmode=require&sslrootcert=system")


@pytest.mark.parametrize(
    ("given", "mode"), [("ssl=true", "require"), ("ssl=false", "disable"), ("sslmode=no-verify", "require")]
)
def test_other_words_for_tls_are_understood(given, mode):
    assert parse_address(f"postgresql://db/films?{given}").tls == {"sslmode": mode}


def test_an_address_is_shown_without_user_and_password():
    assert str(parse_address("postgresql://cs:pw@db:5433,db2/films")) == "db:5433,db2:5432/films"


def test_a_certificate_that_is_missing_is_a_wrong_setting(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match="'sslrootcert' names a file that does not exist"):
        parse_address("postgresql://db/films?sslmode=verify-full&sslrootcert=/none.pem")
    with pytest.raises(ConfigurationError, match=r"sslmode=verify-ca needs sslrootcert: .* or 'system'"):
        parse_address("postgresql://db/films?sslmode=verify-ca")
