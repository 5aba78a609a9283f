"""Provider catalog: the installed providers, created on first use."""

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, Self

from callsheet.domain.errors import ConfigurationError
from callsheet.providers.contract import Provider
from callsheet.providers.settings import ProviderSettings, read_provider_settings
from callsheet.settings import Settings

GROUP = "callsheet.providers"
"""Entry point group. An entry point names a provider class."""


class ProviderClass(Protocol):
    """What an entry point of the group refers to: a provider class with a settings class of its own.

    class Acme(BaseProvider):
        name = "acme"
        settings_class = AcmeSettings

        def __init__(self, settings: Settings, acme: AcmeSettings) -> None: ...
    """

    @property
    def name(self) -> str:
        """Name of the provider, as in the model registry."""

    @property
    def settings_class(self) -> type[ProviderSettings]:
        """Class of the provider's settings."""

    def __call__(self, settings: Settings, provider_settings: Any, /) -> Provider:
        """Create the provider. Raises ConfigurationError when it cannot be used here."""


class Providers(Mapping[str, Provider]):
    """Providers by name. Each is created once, on first use, and closed with the catalog."""

    def __init__(
        self,
        settings: Settings,
        classes: Mapping[str, ProviderClass],
        provider_settings: Iterable[ProviderSettings] = (),
        opened: Iterable[Provider] = (),
    ) -> None:
        self._settings = settings
        self._classes = dict(classes)
        self._provider_settings = {type(given): given for given in provider_settings}
        self._opened = {provider.name: provider for provider in opened}
        self._names = sorted({*self._classes, *self._opened})

    def __getitem__(self, name: str) -> Provider:
        """Return a provider. Raises KeyError for an unknown name, ConfigurationError for an unconfigured provider."""
        if name not in self._opened:
            provider_class = self._classes[name]
            self._opened[name] = provider_class(self._settings, self._settings_of(provider_class))
        return self._opened[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def why_not(self, name: str) -> str | None:
        """Return the reason why a provider cannot be used, or None when it can."""
        try:
            self[name]
        except KeyError:
            return f"there is no provider '{name}'; known: {', '.join(self)}"
        except ConfigurationError as error:
            return error.message
        return None

    async def close(self) -> None:
        """Close all created providers."""
        while self._opened:
            _, provider = self._opened.popitem()
            await provider.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _settings_of(self, provider_class: ProviderClass) -> ProviderSettings:
        settings_class = provider_class.settings_class
        given = self._provider_settings.get(settings_class)
        return read_provider_settings(provider_class.name, settings_class) if given is None else given


def discover_providers(
    settings: Settings,
    *,
    provider_settings: Iterable[ProviderSettings] = (),
    opened: Iterable[Provider] = (),
) -> Providers:
    """Return the providers of all installed packages, and the already created ones in `opened`.

    A provider's settings are taken from `provider_settings` where an instance of its settings class is given, else
    from the environment. Raises ConfigurationError when a provider cannot be loaded or two have the same name.
    """
    classes, opened = load_provider_classes(), list(opened)
    if duplicates := [provider.name for provider in opened if provider.name in classes]:
        raise _duplicate(duplicates[0])
    return Providers(settings, classes, provider_settings, opened)


def load_provider_classes() -> dict[str, ProviderClass]:
    """Return the provider classes of all installed packages by name; raises ConfigurationError."""
    classes: dict[str, ProviderClass] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        provider_class = _load(point)
        if provider_class.name in classes:
            raise _duplicate(provider_class.name)
        classes[provider_class.name] = provider_class
    return classes


def _duplicate(name: str) -> ConfigurationError:
    return ConfigurationError(f"two providers are called '{name}'")


def _load(point: EntryPoint) -> ProviderClass:
    try:
        loaded: ProviderClass = point.load()
    except Exception as error:
        raise ConfigurationError(
            f"the provider '{point.name}' cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not hasattr(loaded, "name") or not hasattr(loaded, "settings_class"):
        raise ConfigurationError(f"the provider '{point.name}' is not a class with a name and a settings_class")
    return loaded
