from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callsheet.settings import Settings

MakeSettings = Callable[..., Settings]


@pytest.fixture
def make_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeSettings:
    """Return a factory for settings of a fresh installation, with the changes of the test."""
    monkeypatch.chdir(tmp_path)

    def make(**changes: Any) -> Settings:
        return Settings(**{"data_dir": tmp_path / "data", **changes})

    return make


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings()


@pytest.fixture
def permissive_settings(make_settings: MakeSettings) -> Settings:
    """Settings that allow the test servers, which are local and speak plain HTTP."""
    return make_settings(allow_private_addresses=True, allow_http=True)
