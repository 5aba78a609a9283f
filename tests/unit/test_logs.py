import json
import logging
import subprocess
import sys

import pytest
import structlog

from callsheet.logs import _json_text, _plain_line, redact_event, redact_secrets

PROGRAM = """
import logging, structlog
from callsheet.logs import configure_logging
configure_logging("info", as_json=True)
structlog.get_logger("x").info("hello", dsn="postgres://me:hush@db/x", headers={"Cookie": "hush"})
logging.getLogger("uvicorn").warning("GET /files/1?sig=%s", "hush")
try:
    raise OSError("postgres://me:hush@db/x is unreachable")
except OSError:
    structlog.get_logger("x").exception("bad")
structlog.get_logger("x").debug("not seen")
"""


@pytest.mark.parametrize(
    "text",
    [
        "postgres://me:hush@db:5432/x",
        "https://b.example/f?X-Amz-Signature=hush&X-Amz-Credential=hush",
        "/files/1?expires=1&sig=hush",
        "Authorization: Bearer hush-hush",
        "{'authorization': 'Basic hush=='}",
        "Set-Cookie: session=hush; HttpOnly",
        "whsec_hush",
        "Authorization: Bearer ...hush",
        "Authorization: Bearer $hush",
        "Authorization: AWS4-HMAC-SHA256 Credential=a, Signature=hush",
        "send `Authorization: Bearer …`, not Authorization: Bearer hush-hush",
        "cannot log in with token=hush, password=hush",
        "{'api_key': 'hush', 'Secret': 'hush'}",
    ],
)
def test_secrets_inside_texts_are_redacted(text):
    assert "hush" not in redact_secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        "A valid API key is needed; send it as `Authorization: Bearer …`.",
        "curl -H 'Authorization: Bearer $CALLSHEET_API_KEY' http://box:8500/api/queues",
        "Authorization: Bearer <key>",
        "Basic ${CREDENTIALS}",
        "Cookie: …",
    ],
)
def test_advice_with_the_place_of_a_secret_is_shown(text):
    assert redact_secrets(text) == text


@pytest.mark.parametrize(
    "text", ["a." * 30_000, "://a:" * 12_000, "x " * 14_000 + "postgres://me:hush" + "h" * 20_000 + "@x"]
)
def test_a_long_text_is_cut_without_showing_a_part_of_a_secret(text):
    redacted = redact_secrets(text)

    assert len(redacted) < 33_000
    assert redacted.endswith(f"… [{len(text):,} characters]")
    assert "hush" not in redacted


@pytest.mark.parametrize("text", ["AUTHORIZATION: BASIC hush==", "PASSWORD=hush", "Whsec_hush"])
def test_secrets_are_found_in_any_case(text):
    assert "hush" not in redact_secrets(text)


def test_other_values_are_unchanged():
    event = {"event": "job 1 of 2 at https://example.com/a?page=2", "tasks": 3, "worker": "gpu@host", "seconds": 1.5}

    assert redact_event(None, "info", dict(event)) == event


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"b": 1, "a": "x y"},
        {"a": "it's", "b": 'say "x"', "c": "k=v", "d": ""},
        {"a": None, "b": ["x y", 1], "c": {"x": "y z"}, "d": 1.5},
        {"a": "tab\there", "b": "ü…", "c": "a\nb", "d": "back\\slash"},
        {"level": "critical", "exception": "Traceback\n  x"},
        {"stack": "Stack (most recent call last)"},
    ],
)
def test_a_line_without_colors_is_that_of_the_console_renderer(facts):
    event = {"timestamp": "2026-11-28T22:18:24.507805Z", "level": "info", "event": "job claimed", **facts}
    console = structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)

    assert _plain_line(None, "info", dict(event)) == console(None, "info", dict(event))


def test_json_lines_hold_what_is_not_plain_json():
    text = _json_text({"event": "x", "large": 2**80, "half": "\ud800"})

    assert json.loads(text) == {"event": "x", "large": 2**80, "half": "\ud800"}


def test_log_lines_of_all_loggers_are_json_on_stderr_without_secrets():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["hello", "GET /files/1?sig=[hidden]", "bad"]
    assert "Traceback" in lines[2]["exception"]
    assert "hush" not in done.stderr
    assert done.stdout == ""
    assert logging.getLevelName(logging.INFO) == lines[0]["level"].upper()


FAILING = """
import logging, structlog
from callsheet.logs import configure_logging, use_host_logging
{configure}

def fail(body):
    raise ValueError("bad body")

for log in (structlog.get_logger("x"), logging.getLogger("y")):
    try:
        fail("request" + "-bytes")
    except ValueError:
        log.exception("failed")
"""


@pytest.mark.parametrize(
    "configure",
    ["configure_logging()", "configure_logging(as_json=True)", "logging.basicConfig(); use_host_logging()"],
)
def test_tracebacks_contain_no_values_of_variables(configure):
    program = FAILING.format(configure=configure)

    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "ValueError: bad body" in run.stderr
    assert "request-bytes" not in run.stderr
