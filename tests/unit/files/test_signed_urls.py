import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from callsheet.domain.errors import ConfigurationError, Unauthorized
from callsheet.files.signed_urls import sign_path, signing_key, verify_path

from .conftest import MakeSettings

KEY = b"k" * 32
PATH = "/files/render/1/Clip 🎬.mp4"


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=15)


def signed(path: str = PATH, expires: datetime | None = None) -> dict[str, str]:
    expires = expires or soon()
    return {name: values[0] for name, values in parse_qs(sign_path(KEY, path, expires=expires)[1:]).items()}


def test_a_signed_link_is_accepted() -> None:
    parameters = signed()

    verify_path(KEY, PATH, **parameters)

    assert set(parameters) == {"sig", "expires"}


@pytest.mark.parametrize(
    "change", [{"sig": "x" * 43}, {"sig": ""}, {"sig": "é"}, {"expires": "99999999999"}, {"expires": "never"}]
)
def test_a_modified_link_is_rejected_as_forged(change: dict[str, str]) -> None:
    with pytest.raises(Unauthorized, match="not valid") as caught:
        verify_path(KEY, PATH, **{**signed(), **change})

    assert caught.value.facts == {"reason": "forged"}


def test_a_signature_is_valid_for_one_path_and_one_key() -> None:
    with pytest.raises(Unauthorized, match="not valid"):
        verify_path(KEY, PATH + "x", **signed())
    with pytest.raises(Unauthorized, match="not valid"):
        verify_path(b"another" * 4, PATH, **signed())


def test_an_expired_link_is_rejected() -> None:
    expires = soon()

    verify_path(KEY, PATH, **signed(expires=expires), now=expires - timedelta(seconds=2))
    with pytest.raises(Unauthorized, match="expired") as caught:
        verify_path(KEY, PATH, **signed(expires=expires), now=expires + timedelta(seconds=1))

    assert caught.value.facts == {"reason": "expired"}


def test_the_configured_key_is_used(make_settings: MakeSettings, tmp_path: Path) -> None:
    assert signing_key(make_settings(signing_key="0123456789abcdef")) == b"0123456789abcdef"
    assert not (tmp_path / "data").exists()


def test_a_short_key_is_rejected_and_not_shown(make_settings: MakeSettings) -> None:
    with pytest.raises(ConfigurationError, match="at least 16") as caught:
        signing_key(make_settings(signing_key="hunter2"))

    assert "hunter2" not in str(caught.value)


def test_a_key_is_generated_once_and_readable_by_its_owner_only(make_settings: MakeSettings, tmp_path: Path) -> None:
    first = signing_key(make_settings())

    assert signing_key(make_settings()) == first and len(first) == 64
    assert (tmp_path / "data/signing.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["signing.key"]


def test_processes_that_start_concurrently_use_the_same_key(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from callsheet.settings import Settings;"
        "from callsheet.files.signed_urls import signing_key;"
        "sys.stdin.read(1); print(signing_key(Settings(data_dir=Path(sys.argv[1]))).decode())"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "data")]
    children = [subprocess.Popen(command, stdin=-1, stdout=-1, cwd=tmp_path) for _ in range(4)]

    keys = [child.communicate(b"x")[0] for child in children]

    assert len(set(keys)) == 1 and len(keys[0].strip()) == 64


def test_a_damaged_key_file_is_reported(make_settings: MakeSettings, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/signing.key").write_text("")

    with pytest.raises(ConfigurationError, match="damaged"):
        signing_key(make_settings())
