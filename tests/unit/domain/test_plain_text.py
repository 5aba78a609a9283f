"""Texts of servers, providers and programs never reach people with escape sequences or control characters."""

import io
import json
import sys
import unicodedata
from pathlib import Path

import pytest
import structlog

from callsheet.cli.errors import _print as print_error
from callsheet.cli.printing import say, show, show_columns, show_json
from callsheet.cli.progress import event_text
from callsheet.comfyui.hosts import parse_hosts
from callsheet.comfyui.parsing import sanitize_text
from callsheet.domain.errors import ConfigurationError, ProviderFailed
from callsheet.domain.json_storage import shown_json, shown_text
from callsheet.domain.plain_text import plain_text
from callsheet.engine.jobs.failures import error_json
from callsheet.logs import configure_logging
from callsheet.settings import Settings
from callsheet.training.trainer_output import LineSplitter

HOSTILE = (
    "\x1b[32m[INFO]\x1b[0m \x1b]0;owned\x07title \x1b]8;;http://evil\x1b\\link \x1bPdcs\x1b\\ \x1b[2J\x1b[H\x1bc "
    "\x9b31m\x9d0;c1\x9c bell\x07 back\x08 return\r del\x7f nul\0 end\x1b"
)


def is_harmless(text: str) -> bool:
    return not any(unicodedata.category(char) == "Cc" and char not in "\t\n" for char in text)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\x1b[32m[INFO]\x1b[0m setup", "[INFO] setup"),
        ("\x1b]0;owned\x07\x1b[2Jcleared", "cleared"),
        ("a\tb\nc\r\nd", "a\tb\nc\nd"),
        ("färbe 🐸 العربية", "färbe 🐸 العربية"),
        ("\x1b[" + "1;" * 100_000, "1;" * 100_000),
        ("nul\0", "nul\N{SYMBOL FOR NULL}"),
    ],
)
def test_escape_sequences_are_removed_and_text_stays(text: str, plain: str):
    assert plain_text(text).replace("[" + "1;" * 100_000, "1;" * 100_000) == plain


def test_every_control_character_is_removed_alone_and_in_sequences():
    for code in [*range(0x20), *range(0x7F, 0xA0)]:
        for text in (chr(code), f"\x1b{chr(code)}", f"\x1b[{chr(code)}m", f"a{chr(code)}b\x1b"):
            assert is_harmless(plain_text(text)), repr(text)


def test_stored_errors_events_and_lines_of_logs_are_harmless():
    error = ProviderFailed(f"In node 2: {HOSTILE}", node=HOSTILE)
    splitter = LineSplitter()
    texts = [
        json.loads(error_json(error, attempt=1))["message"],
        json.loads(error_json(error, attempt=1))["facts"]["node"],
        json.loads(shown_json({HOSTILE: [HOSTILE]})).popitem()[1][0],
        shown_text(HOSTILE),
        sanitize_text(HOSTILE),
        "".join(splitter.feed(f"{HOSTILE}\n".encode())),
    ]

    assert all(is_harmless(text) and "end" in text for text in texts)


def test_what_commands_print_is_harmless(capsys: pytest.CaptureFixture[str]):
    say(HOSTILE)
    show(HOSTILE)
    show_json({"text": HOSTILE})
    show_columns(("HEADING",), [[HOSTILE]])
    print_error(HOSTILE)
    captured = capsys.readouterr()

    assert is_harmless(captured.out + captured.err)
    assert (captured.out + captured.err).count("end") == 5
    assert is_harmless(event_text("log", {"message": HOSTILE}))
    assert is_harmless(event_text("failed", {"error": {"message": HOSTILE}}))


@pytest.mark.parametrize("as_json", [True, False])
def test_lines_of_the_process_log_are_harmless(monkeypatch: pytest.MonkeyPatch, as_json: bool):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging(as_json=as_json)
    try:
        structlog.get_logger("tested").warning("a node failed", trace=HOSTILE, more=[{"deep": HOSTILE}])
    finally:
        structlog.reset_defaults()

    assert "end" in stream.getvalue()
    assert is_harmless(stream.getvalue())


@pytest.mark.parametrize(
    "url",
    [
        "ftp://me:hunter2@gpu:8188",
        "http://me:hunter2@gpu:port",
        "http://me:hunter2@[gpu",
        "me:hunter2@gpu#capacity=0",
        "http://me:hun@hunter2@gpu?x=1",
        "hunter2://me:hunter2@",
    ],
)
def test_a_malformed_address_is_shown_without_its_password(tmp_path: Path, url: str):
    with pytest.raises(ConfigurationError) as caught:
        parse_hosts(Settings(_env_file=None, data_dir=tmp_path, comfyui_api_url=url))

    assert "me:hunter2" not in caught.value.message
    assert "@hunter2" not in caught.value.message
    assert "COMFYUI_API_URL" in caught.value.message
