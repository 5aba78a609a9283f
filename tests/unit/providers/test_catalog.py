from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from callsheet.domain.errors import ConfigurationError
from callsheet.providers import catalog
from callsheet.providers.catalog import discover_providers
from callsheet.settings import Settings
from callsheet.testing.fake_provider import FakeProvider


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Say which entry points there are, in place of those that are really installed."""

    def install(**points: str) -> None:
        found = [EntryPoint(name, value, catalog.GROUP) for name, value in points.items()]
        monkeypatch.setattr(catalog, "entry_points", lambda group: found)

    return install


def test_the_providers_of_this_package_come_by_the_same_door(settings: Settings) -> None:
    assert {"replicate", "fal"} <= set(discover_providers(settings))


async def test_a_provider_is_opened_when_it_is_used_and_closed_with_the_whole(
    settings: Settings, installed: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed()
    opened, closed = [], []
    monkeypatch.setattr(FakeProvider, "close", lambda _: note(closed))

    def open_toy(_: Settings) -> FakeProvider:
        opened.append(1)
        return FakeProvider(tmp_path / "toy")

    async with discover_providers(settings, [("toy", open_toy)]) as providers:
        assert (list(providers), len(providers), opened) == (["toy"], 1, [])
        assert providers["toy"] is providers["toy"]
        assert opened == [1]

    assert closed == [1]


async def note(closed: list[int]) -> None:
    closed.append(1)


def test_what_is_missing_is_told(settings: Settings, installed: Callable[..., None]) -> None:
    installed(replicate="callsheet.providers.replicate:open_replicate")
    providers = discover_providers(settings)

    assert providers.why_not("replicate") == "Replicate needs REPLICATE_API_TOKEN"
    assert providers.why_not("nobody") == "there is no provider 'nobody'; known: replicate"
    with pytest.raises(ConfigurationError, match="REPLICATE_API_TOKEN"):
        providers["replicate"]
    with pytest.raises(KeyError):
        providers["nobody"]


def test_a_name_that_is_taken_twice_is_refused(
    settings: Settings, installed: Callable[..., None], tmp_path: Path
) -> None:
    installed(fal="callsheet.providers.fal:open_fal")

    with pytest.raises(ConfigurationError, match="two providers are called 'fal'"):
        discover_providers(settings, [("fal", lambda _: FakeProvider(tmp_path))])


def test_a_provider_that_cannot_be_loaded_is_named(settings: Settings, installed: Callable[..., None]) -> None:
    installed(broken="callsheet.providers.no_such_file:open_it")

    with pytest.raises(ConfigurationError, match="'broken' cannot be loaded: ModuleNotFoundError"):
        discover_providers(settings)
