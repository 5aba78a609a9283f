from pathlib import Path

import pytest
from media.studio import FakeContext, Studio


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def stage(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path)
