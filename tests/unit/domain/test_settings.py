"""Settings and their aliases."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from callsheet.settings import Settings, parse_lanes


def settings(monkeypatch, **environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings(_env_file=None)


def plain(value):
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


@pytest.mark.parametrize(
    ("variable", "field", "value"),
    [
        ("CALLSHEET_DATABASE_URL", "database_url", "postgresql://a"),
        ("DATABASE_URL", "database_url", "postgresql://b"),
        ("TEMP_DIR", "work_dir", "/scratch"),
        ("BUCKET_NAME", "s3_bucket", "films"),
        ("BUCKET_ENDPOINT_URL", "s3_endpoint", "https://r2"),
        ("S3_URL", "s3_endpoint", "https://minio"),
        ("AWS_REGION", "s3_region", "eu-west-1"),
        ("S3_ACCESS_KEY", "s3_access_key", "k1"),
        ("BUCKET_ACCESS_KEY_ID", "s3_access_key", "k2"),
        ("S3_SECRET_KEY", "s3_secret_key", "s1"),
        ("BUCKET_SECRET_ACCESS_KEY", "s3_secret_key", "s2"),
        ("API_BASE_URL", "public_url", "https://films.example"),
        ("FFMPEG_PATH", "ffmpeg_path", "/opt/ffmpeg"),
        ("FFMPEG_ASPECT_RATIO", "ffmpeg_aspect_ratio", "16:9"),
        ("FFMPEG_AUDIO_FILTER", "ffmpeg_audio_filter", "loudnorm=I=-14"),
        ("FFMPEG_VIDEO_PRESET", "ffmpeg_video_preset", "fast"),
    ],
)
def test_a_setting_is_read_from_its_name_and_its_aliases(monkeypatch, variable, field, value):
    found = plain(getattr(settings(monkeypatch, **{variable: value}), field))

    assert str(found) == value


def test_the_prefixed_name_takes_precedence_over_an_alias(monkeypatch):
    assert settings(monkeypatch, CALLSHEET_S3_BUCKET="prefixed", BUCKET_NAME="alias").s3_bucket == "prefixed"


@pytest.mark.parametrize("name", ["DATABASE_URL", "S3_ACCESS_KEY", "S3_SECRET_KEY", "SIGNING_KEY", "API_KEY"])
def test_a_secret_is_read_from_a_file(monkeypatch, tmp_path, name):
    (tmp_path / "secret").write_text("a secret of some length\n")

    found = settings(monkeypatch, **{f"CALLSHEET_{name}_FILE": str(tmp_path / "secret")})

    assert plain(getattr(found, name.lower())) == "a secret of some length"
    assert "a secret" not in repr(found)


def test_a_secret_takes_precedence_over_its_file(monkeypatch, tmp_path):
    (tmp_path / "secret").write_text("from the file, long enough")

    found = settings(
        monkeypatch, CALLSHEET_API_KEY="from the variable", CALLSHEET_API_KEY_FILE=str(tmp_path / "secret")
    )

    assert plain(found.api_key) == "from the variable"


def test_a_missing_secret_file_is_an_error_with_its_name(monkeypatch, tmp_path):
    with pytest.raises((ValidationError, OSError), match="nowhere"):
        settings(monkeypatch, CALLSHEET_API_KEY_FILE=str(tmp_path / "nowhere"))


def test_all_invalid_settings_are_reported_without_their_values(monkeypatch):
    with pytest.raises(ValidationError) as wrong:
        settings(
            monkeypatch,
            CALLSHEET_PORT="99999",
            CALLSHEET_API_KEY="short-secret",
            CALLSHEET_LANES="render=many",
            CALLSHEET_GRACE_PERIOD="soon",
        )

    assert wrong.value.error_count() == 4
    assert "short-secret" not in str(wrong.value)


def test_a_worker_timeout_below_two_heartbeats_is_rejected(monkeypatch):
    with pytest.raises(ValidationError, match="at least twice HEARTBEAT_INTERVAL"):
        settings(monkeypatch, CALLSHEET_HEARTBEAT_INTERVAL="10s", CALLSHEET_WORKER_TIMEOUT="15s")


def test_durations_and_folders_are_parsed(monkeypatch):
    found = settings(monkeypatch, CALLSHEET_GRACE_PERIOD="2m", CALLSHEET_SOURCE_ROOTS="/a:/b")

    assert found.grace_period == timedelta(minutes=2)
    assert found.source_roots == [Path("/a"), Path("/b")]


def test_lanes_are_parsed():
    assert parse_lanes("render=2, preview = 4,") == {"render": 2, "preview": 4}


@pytest.mark.parametrize(
    "text", ["render", "render=", "=2", "render=0", "render=-1", "render=x", "a=1;b=2", "render=²"]
)
def test_invalid_lanes_are_rejected(text):
    with pytest.raises(ValueError, match="queue=number"):
        parse_lanes(text)
