from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from callsheet.domain.errors import ConfigurationError
from callsheet.providers import catalog
from callsheet.providers.catalog import discover_providers
from callsheet.providers.luma import LumaSettings
from callsheet.providers.settings import ProviderSettings
from callsheet.settings import Settings
from callsheet.testing.fake_provider import FakeProvider


class AcmeSettings(ProviderSettings):
    model_config = SettingsConfigDict(env_prefix="CALLSHEET_ACME_")

    token: SecretStr
    pace: float = Field(1.0, gt=0)


class Acme(FakeProvider):
    name = "acme"
    settings_class = AcmeSettings
    created: ClassVar[list[AcmeSettings]] = []
    closed: ClassVar[list[AcmeSettings]] = []

    def __init__(self, settings: Settings, acme: AcmeSettings) -> None:
        super().__init__(settings.data_dir / "acme", name="acme")
        self.acme = acme
        self.created.append(acme)

    async def close(self) -> None:
        self.closed.append(self.acme)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replace the installed entry points."""
    Acme.created, Acme.closed = [], []

    def install(**points: str) -> None:
        found = [EntryPoint(name, value, catalog.GROUP) for name, value in points.items()]
        monkeypatch.setattr(catalog, "entry_points", lambda group: found)

    return install


ACME = f"{__name__}:Acme"


def test_built_in_providers_are_discovered_by_entry_points(settings: Settings) -> None:
    assert {"replicate", "fal", "videos"} <= set(discover_providers(settings))


async def test_a_provider_is_created_on_first_use_and_closed_with_the_catalog(
    settings: Settings, installed: Callable[..., None]
) -> None:
    installed(acme=ACME)
    given = AcmeSettings(token="t")

    async with discover_providers(settings, provider_settings=[given]) as providers:
        assert (list(providers), len(providers), Acme.created) == (["acme"], 1, [])
        assert providers["acme"] is providers["acme"]
        assert Acme.created == [given]

    assert Acme.closed == [given]


async def test_extra_providers_are_listed_and_closed(
    settings: Settings, installed: Callable[..., None], tmp_path: Path
) -> None:
    installed(acme=ACME)
    extra = FakeProvider(tmp_path / "fake")

    async with discover_providers(settings, opened=[extra]) as providers:
        assert list(providers) == ["acme", extra.name]
        assert providers[extra.name] is extra


async def test_provider_settings_are_read_from_the_environment(
    settings: Settings, installed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(acme=ACME)
    monkeypatch.setenv("CALLSHEET_ACME_TOKEN", "t")
    monkeypatch.setenv("CALLSHEET_ACME_PACE", "2.5")

    async with discover_providers(settings) as providers:
        assert providers.why_not("acme") is None

    assert (Acme.created[0].token.get_secret_value(), Acme.created[0].pace) == ("t", 2.5)


def test_a_missing_setting_is_reported_with_its_variable(settings: Settings, installed: Callable[..., None]) -> None:
    installed(acme=ACME, luma="callsheet.providers.luma:Luma")
    providers = discover_providers(settings)

    assert providers.why_not("acme") == "provider 'acme' needs CALLSHEET_ACME_TOKEN"
    assert providers.why_not("luma") == "provider 'luma' needs CALLSHEET_LUMA_API_KEY or LUMA_AGENTS_API_KEY"
    assert providers.why_not("missing") == "there is no provider 'missing'; known: acme, luma"
    with pytest.raises(ConfigurationError, match="CALLSHEET_ACME_TOKEN"):
        providers["acme"]
    with pytest.raises(KeyError):
        providers["missing"]


def test_an_invalid_setting_is_reported_without_its_value(
    settings: Settings, installed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(acme=ACME)
    monkeypatch.setenv("CALLSHEET_ACME_PACE", "-7.125")

    message = discover_providers(settings).why_not("acme")

    assert message is not None and "-7.125" not in message
    assert message.startswith("provider 'acme' needs CALLSHEET_ACME_TOKEN; CALLSHEET_ACME_PACE: Input should be")


def test_two_providers_with_the_same_name_are_an_error(
    settings: Settings, installed: Callable[..., None], tmp_path: Path
) -> None:
    installed(fal="callsheet.providers.fal:Fal")

    with pytest.raises(ConfigurationError, match="two providers are called 'fal'"):
        discover_providers(settings, opened=[FakeProvider(tmp_path, name="fal")])


def test_a_provider_that_cannot_be_loaded_is_reported(settings: Settings, installed: Callable[..., None]) -> None:
    installed(broken="callsheet.providers.no_such_file:Broken")

    with pytest.raises(ConfigurationError, match="'broken' cannot be loaded: ModuleNotFoundError"):
        discover_providers(settings)


def test_an_entry_point_must_be_a_provider_class(settings: Settings, installed: Callable[..., None]) -> None:
    installed(odd="callsheet.providers.catalog:discover_providers")

    with pytest.raises(ConfigurationError, match="'odd' is not a class with a name and a settings_class"):
        discover_providers(settings)


class TestLumaSettings:
    """The rules of all provider settings, on one class with an alias."""

    @pytest.mark.parametrize("variable", ["CALLSHEET_LUMA_API_KEY", "LUMA_AGENTS_API_KEY", "luma_agents_api_key"])
    def test_every_name_of_a_setting_is_read(self, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
        monkeypatch.setenv(variable, "a-key")
        monkeypatch.setenv("CALLSHEET_LUMA_URL", "")

        read = LumaSettings(_env_file=None)

        assert read.api_key.get_secret_value() == "a-key"
        assert read.url == "https://agents.lumalabs.ai"

    def test_the_main_name_takes_precedence(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CALLSHEET_LUMA_API_KEY", "main")
        monkeypatch.setenv("LUMA_AGENTS_API_KEY", "other")

        assert LumaSettings(_env_file=None).api_key.get_secret_value() == "main"

    def test_a_file_dotenv_is_read(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("LUMA_AGENTS_API_KEY=from-dotenv\nCALLSHEET_LUMA_URL=https://luma.test\nX=1\n")

        read = LumaSettings(_env_file=tmp_path / ".env")

        assert (read.api_key.get_secret_value(), read.url) == ("from-dotenv", "https://luma.test")

    def test_a_secret_is_read_from_a_file(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("from-file\n")
        monkeypatch.setenv("CALLSHEET_LUMA_API_KEY_FILE", str(tmp_path / "key"))
        assert LumaSettings(_env_file=None).api_key.get_secret_value() == "from-file"

        monkeypatch.setenv("LUMA_AGENTS_API_KEY", "from-variable")
        assert LumaSettings(_env_file=None).api_key.get_secret_value() == "from-variable"
        assert LumaSettings(_env_file=None, api_key="given").api_key.get_secret_value() == "given"

    def test_an_unreadable_secret_file_is_reported(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("CALLSHEET_LUMA_API_KEY_FILE", str(tmp_path / "none"))

        message = discover_providers(settings).why_not("luma")

        assert message is not None and "provider 'luma' names an unreadable file" in message
