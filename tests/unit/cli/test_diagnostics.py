"""`callsheet check` finds faults of an installation, and says what to do."""

import asyncio
import re
import socket
from pathlib import Path

import pytest

from callsheet.cli.diagnostics import Finding, run_checks
from callsheet.cli.diagnostics.all_checks import CHECKS
from callsheet.cli.diagnostics.check import Check
from callsheet.cli.diagnostics.clock import clock_finding
from callsheet.cli.diagnostics.codes import ERRORS, WARNINGS
from callsheet.cli.diagnostics.database_pool import pool_finding
from callsheet.cli.diagnostics.disk import disk_finding, folders
from callsheet.cli.diagnostics.environment import environment
from callsheet.cli.diagnostics.files_of_settings import models, schedules, steps
from callsheet.cli.diagnostics.findings import ok
from callsheet.cli.diagnostics.installation import Installation
from callsheet.cli.diagnostics.media import ffmpeg, fonts
from callsheet.cli.diagnostics.operations import operations
from callsheet.cli.diagnostics.providers import providers
from callsheet.cli.diagnostics.redis import redis
from callsheet.cli.diagnostics.storage import storage
from callsheet.domain.errors import ConfigurationError
from callsheet.fakes.providers.all import all_fakes
from callsheet.fakes.providers.kling import FakeKling
from callsheet.fakes.providers.runway import FakeRunway
from callsheet.settings import Settings
from support.redis_server import RedisServer

SOURCES = Path(__file__).resolve().parents[3] / "src/callsheet/cli/diagnostics"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


async def findings(check, tmp_path, modules=None, **changes):
    settings = Settings(_env_file=None, **{"data_dir": tmp_path / "data", **changes})
    async with Installation(settings, modules) as installation:
        return [finding async for finding in check(installation)]


async def one(check, tmp_path, **changes):
    (finding,) = await findings(check, tmp_path, **changes)
    return finding


def test_every_code_is_used_and_every_used_code_has_a_meaning():
    source = "".join(path.read_text() for path in SOURCES.glob("*.py") if path.name != "codes.py")
    named = {code for code in (*ERRORS, *WARNINGS) if f'"{code}"' in source}
    built = {
        code for code in ERRORS if re.fullmatch(r"storage\.(write|read|list|delete)_failed|\w+\.not_writable", code)
    }

    assert named | built == {*ERRORS, *WARNINGS}
    assert not ERRORS.keys() & WARNINGS.keys()


def test_a_finding_says_what_to_do_and_has_a_known_code():
    with pytest.raises(ValueError, match="says not what to do"):
        Finding("disk.low", "no room")
    with pytest.raises(ValueError, match="is not a code"):
        Finding("disk.strange", "no room", "look")
    assert (ok("public_url", "fine").subject, ok("public_url", "fine").level) == ("public URL", "ok")


async def test_all_checks_run_at_once_each_with_a_time_limit_and_errors_come_first(tmp_path):
    waiting = asyncio.Event()

    async def in_order(_):
        waiting.set()
        yield ok("disk", "room")

    async def warns(_):
        await asyncio.wait_for(waiting.wait(), 30)  # another check runs meanwhile
        yield Finding("disk.low", "little room", "delete")

    async def hangs(_):
        yield ok("clock", "before")
        await asyncio.Event().wait()

    async def fails(_):
        raise ConfigurationError("the file is broken")
        yield

    checks = [
        Check("one", warns),
        Check("the hanging thing", hangs, seconds=0.01),
        Check("another", in_order),
        Check("the steps", fails, "steps.invalid", "correct it"),
        Check("the same steps", fails, "steps.invalid", "correct it"),
    ]
    found = await run_checks({"data_dir": tmp_path}, None, checks=checks)

    assert [finding.code for finding in found] == [
        "check.timed_out", "steps.invalid", "disk.low", "settings.ok", "clock.ok", "disk.ok",
    ]  # fmt: skip
    assert "the hanging thing did not end in 0.01 seconds" in found[0].message


async def test_an_invalid_setting_ends_the_check_with_its_name(tmp_path):
    found = await run_checks({"data_dir": tmp_path, "port": 99999}, None)

    assert [finding.code for finding in found] == ["settings.invalid"]
    assert "port" in found[0].message.lower()


async def test_an_unknown_variable_and_one_of_another_system_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("CALLSHEET_WORKER_TIMOUT", "3")
    monkeypatch.setenv("ML_SERVICE_URL", "http://ml:8003")
    found = await findings(environment, tmp_path)

    assert [finding.code for finding in found] == ["environment.unknown_variable", "environment.no_effect"]
    assert "did you mean 'CALLSHEET_WORKER_TIMEOUT'" in found[0].message


async def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    place = tmp_path / "place"
    place.mkdir()
    # Even root cannot create a file there.
    found = await findings(folders, tmp_path, data_dir=tmp_path / "file", work_dir=Path("/proc"))

    assert [finding.code for finding in found] == ["data_folder.not_writable", "work_folder.not_writable"]
    assert "CALLSHEET_DATA_DIR" in found[0].action
    assert "CALLSHEET_WORK_DIR" in found[1].action
    assert (await one(folders, tmp_path, data_dir=place)).level == "ok"
    assert list(place.iterdir()) == []


def test_the_room_on_a_disk_has_two_thresholds():
    assert disk_finding(Path("/d"), 10**11, None).code == "disk.ok"
    assert disk_finding(Path("/d"), 10**9, None).code == "disk.low"
    assert disk_finding(Path("/d"), 10**8, None).code == "disk.full"
    assert disk_finding(Path("/d"), 10**11, 9_000).code == "disk.low"
    full = disk_finding(Path("/d"), 10**11, 12)
    assert (full.code, full.message) == ("disk.full", "100.0 GB and 12 files free for /d")


def test_a_pool_that_is_small_for_its_lanes_is_reported_with_the_size_that_fits():
    assert pool_finding(8, {"render": 2, "generate": 16}).level == "ok"
    small = pool_finding(4, {"generate": 90, "comfyui": 10})
    assert (small.code, "CALLSHEET_DATABASE_POOL_SIZE=7" in small.action) == ("database_pool.small", True)


def test_a_difference_of_clocks_counts_beyond_what_the_query_took():
    assert clock_finding(1.5, 0.01).code == "clock.ok"
    assert clock_finding(5.0, 8.0).code == "clock.ok"
    behind = clock_finding(-5.0, 0.01)
    assert (behind.code, "5.0 seconds behind" in behind.message) == ("clock.differs", True)
    assert clock_finding(90.0, 0.01).code == "clock.wrong"


async def test_a_folder_of_files_that_takes_no_file_is_an_error(tmp_path):
    (tmp_path / "data/files").mkdir(parents=True)
    assert (await one(storage, tmp_path)).code == "storage.ok"
    (tmp_path / "data/files/callsheet-check").rmdir() if (tmp_path / "data/files/callsheet-check").exists() else None
    (tmp_path / "data/files/callsheet-check").write_text("a file where a folder must be")

    assert (await one(storage, tmp_path)).code == "storage.write_failed"


async def test_a_redis_server_is_asked_if_one_is_configured(tmp_path):
    server = RedisServer(tmp_path / "redis")
    try:
        assert await findings(redis, tmp_path) == []
        works = await one(redis, tmp_path, redis_url=f"{server.url}/0")
        server.command("CONFIG SET maxmemory 100mb")
        server.command("CONFIG SET maxmemory-policy allkeys-lru")
        evicting = await findings(redis, tmp_path, redis_url=server.url)
        server.command("CONFIG SET requirepass right")
        wrong = await one(redis, tmp_path, redis_url=f"redis://:hush-hush@127.0.0.1:{server.port}/0")
    finally:
        server.close()
    gone = await one(redis, tmp_path, redis_url=f"{server.url}/0")

    assert (works.code, wrong.code, gone.code) == ("redis.ok", "redis.unavailable", "redis.unavailable")
    assert "hush-hush" not in wrong.message
    assert [finding.code for finding in evicting] == ["redis.ok", "redis.evicts"]


async def test_an_ffmpeg_that_is_something_else_is_an_error(tmp_path):
    other = tmp_path / "ffmpeg"
    other.write_text("#!/bin/sh\necho hello\n")
    other.chmod(0o755)

    with pytest.raises(ConfigurationError, match="does not work as FFmpeg"):
        await findings(ffmpeg, tmp_path, ffmpeg_path=other)


async def test_an_ffmpeg_without_libass_and_x264_is_reported(tmp_path):
    lean = tmp_path / "ffmpeg"
    lean.write_text(
        "#!/bin/sh\ncase \"$*\" in *-version*) echo 'ffmpeg version 7.1 Copyright';;"
        " *-encoders*) echo ' A....D aac AAC';; *-filters*) echo ' .. scale V->V Scale';; esac\n"
    )
    lean.chmod(0o755)
    found = await findings(ffmpeg, tmp_path, ffmpeg_path=lean)

    assert [finding.code for finding in found] == ["ffmpeg.lacks_encoders", "ffmpeg.lacks_filters"]


async def test_a_damaged_font_is_named(tmp_path, monkeypatch):
    assert (await one(fonts, tmp_path)).code == "fonts.ok"
    place = tmp_path / "fonts"
    (place / "inter").mkdir(parents=True)
    (place / "fonts.conf").write_text("<fontconfig/>")
    (place / "inter/Inter.ttf").write_bytes(b"damaged")
    monkeypatch.setattr("callsheet.cli.diagnostics.media.FONTCONFIG", place / "fonts.conf")

    damaged = await one(fonts, tmp_path)
    assert (damaged.code, "Inter.ttf" in damaged.message) == ("fonts.missing", True)


async def test_operations_that_cannot_run_here_are_grouped_by_reason_with_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr("callsheet.media.voice.hibari.installed", lambda: False)
    found = await findings(operations, tmp_path)

    (voice,) = [finding for finding in found if "callsheet[speech]" in finding.message]
    assert voice.code == "operations.not_runnable"
    assert "speech" in voice.message


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("check", "setting", "text"),
    [
        (models, "models_file", "- id: x\n  name: 1\n"),
        (steps, "steps_file", "commands: 12\n"),
        (schedules, "schedules_file", "morning: {cron: 'at dawn', plan: ad}\n"),
        (schedules, "schedules_file", None),
    ],
)
async def test_a_broken_file_of_settings_is_an_error_that_names_it(tmp_path, check, setting, text):
    file = tmp_path / "file.yaml"
    if text is not None:
        file.write_text(text)
    used = next(each for each in CHECKS if each.run is check)
    found = await run_checks({"data_dir": tmp_path / "data", setting: file}, None, checks=[used])

    assert found[0].level == "error"
    assert found[0].code == f"{setting.removesuffix('_file')}.invalid"
    assert str(file) in found[0].message


async def test_a_valid_schedules_file_is_counted(tmp_path):
    plan = "{jobs: [{id: a, operation: probe, params: {source: 'https://example.com/a.mp4'}}]}"
    file = write(
        tmp_path / "s.yaml", f"a: {{every: 1h, executionPlan: {plan}, paused: true}}\nb: {{every: 2h, plan: x}}\n"
    )

    assert (await one(schedules, tmp_path, schedules_file=file)).message == f"2 schedules in {file}, of which 1 paused"


async def test_keys_of_all_providers_are_checked_and_a_wrong_one_names_its_variable(tmp_path, monkeypatch):
    endpoint = write(
        tmp_path / "models.yaml",
        "- {id: own, name: Own, makes: video, offers: [{provider: runpod, model: abc123def456gh, parameters: {}}]}\n",
    )
    async with all_fakes(pace=None) as fakes:
        for fake in fakes:
            for name, value in fake.environment().items():
                monkeypatch.setenv(name, value)
        all_right = await findings(providers, tmp_path, models_file=endpoint)
        monkeypatch.setenv("RUNWAYML_API_SECRET", "key_wrong_0123456789")
        monkeypatch.delenv("CALLSHEET_RUNWAY_API_KEY")
        secret = write(tmp_path / "secret", "a-wrong-secret-key-0123456789abcdef")
        monkeypatch.delenv("CALLSHEET_KLING_SECRET_KEY")
        monkeypatch.setenv("CALLSHEET_KLING_SECRET_KEY_FILE", str(secret))
        some_wrong = await findings(providers, tmp_path, models_file=endpoint)
        spent = [fake.paid for fake in fakes]

    assert [finding.message for finding in all_right if finding.level != "ok"] == []
    assert sum("accepts its key" in finding.message for finding in all_right) == len(fakes)
    rejected = {finding.message.split()[0]: finding for finding in some_wrong if finding.level == "error"}
    assert rejected.keys() == {FakeRunway.name, FakeKling.name}
    assert "RUNWAYML_API_SECRET" in rejected["runway"].action
    assert "CALLSHEET_KLING_SECRET_KEY_FILE" in rejected["kling"].action
    assert "key_wrong_0123456789" not in rejected["runway"].message
    assert spent == [0] * len(fakes)


async def test_half_of_the_settings_of_a_provider_and_a_silent_one_are_warnings(tmp_path, monkeypatch):
    monkeypatch.setenv("KLING_ACCESS_KEY", "an-access-key-0123456789")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("CALLSHEET_LUMA_URL", f"http://127.0.0.1:{probe.getsockname()[1]}")
        monkeypatch.setenv("LUMA_AGENTS_API_KEY", "luma-key-0123456789")
        found = await findings(providers, tmp_path)

    assert {finding.code for finding in found} == {"providers.incomplete", "providers.not_checked"}
    assert {finding.level for finding in found} == {"warning"}
    assert any("KLING_SECRET_KEY" in finding.message for finding in found)


async def test_without_a_setting_of_a_provider_none_is_asked(tmp_path):
    assert await findings(providers, tmp_path) == []
