"""The providers that are known here, opened when they are first used."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, Self

from callsheet.domain.errors import ConfigurationError
from callsheet.providers.contract import Provider
from callsheet.settings import Settings

GROUP = "callsheet.providers"

Open = Callable[[Settings], Provider]
"""Makes a provider by the settings. Raises ConfigurationError naming the setting that is missing."""


class Providers(Mapping[str, Provider]):
    """Providers by name. Each is opened once, and closed with the whole."""

    def __init__(self, settings: Settings, openers: Mapping[str, Open]) -> None:
        self._settings = settings
        self._openers = dict(openers)
        self._open: dict[str, Provider] = {}

    def __getitem__(self, name: str) -> Provider:
        """Return a provider. Raises KeyError for an unknown one, ConfigurationError for one that is not set up."""
        if name not in self._open:
            self._open[name] = self._openers[name](self._settings)
        return self._open[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._openers))

    def __len__(self) -> int:
        return len(self._openers)

    def why_not(self, name: str) -> str | None:
        """Return why a provider cannot be used, or None when it can."""
        try:
            self[name]
        except KeyError:
            return f"there is no provider '{name}'; known: {', '.join(self)}"
        except ConfigurationError as error:
            return error.message
        return None

    async def close(self) -> None:
        """Close all that were opened."""
        while self._open:
            _, provider = self._open.popitem()
            await provider.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def discover_providers(settings: Settings, own: Iterable[tuple[str, Open]] = ()) -> Providers:
    """Return the providers of all installed packages (entry points), and `own` ones.

    Raises ConfigurationError when one cannot be loaded or a name is taken twice.
    """
    openers: dict[str, Open] = {}
    found = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    for name, open_provider in [*((point.name, _load(point)) for point in found), *own]:
        if name in openers:
            raise ConfigurationError(f"two providers are called '{name}'")
        openers[name] = open_provider
    return Providers(settings, openers)


def _load(point: Any) -> Open:
    try:
        loaded: Open = point.load()
    except Exception as error:
        raise ConfigurationError(
            f"the provider '{point.name}' cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    return loaded
