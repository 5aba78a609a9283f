from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callsheet.settings import Settings

MakeSettings = Callable[..., Settings]


@pytest.fixture
def make_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeSettings:
    """Settings of a fresh installation, with what the test wants otherwise."""
    monkeypatch.chdir(tmp_path)

    def make(**changes: Any) -> Settings:
        return Settings(**{"data_dir": tmp_path / "data", **changes})

    return make


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings()


@pytest.fixture
def open_settings(make_settings: MakeSettings) -> Settings:
    """Settings that allow the test's own servers, which are local and speak http."""
    return make_settings(allow_private_addresses=True, allow_http=True)
