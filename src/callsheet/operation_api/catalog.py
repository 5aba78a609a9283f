"""The catalog of operations: registration and discovery."""

import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import entry_points
from typing import Any

from callsheet.domain.errors import ConfigurationError
from callsheet.operation_api.contract import Operation
from callsheet.settings import Settings

ENTRY_POINT_GROUP = "callsheet.operations"


class Catalog(Mapping[str, Operation]):
    """Operations by name and by alias."""

    def __init__(self, operations: Iterable[Operation] = ()) -> None:
        self._by_name: dict[str, Operation] = {}
        self._module: dict[str, str] = {}
        for operation in operations:
            self.add(operation, operation.run.__module__)

    def add(self, operation: Operation, module: str) -> None:
        """Register an operation of a module. Raises ConfigurationError if one of its names is taken."""
        for name in (operation.name, *operation.aliases):
            other = self._by_name.get(name)
            if other is not None and other is not operation:
                raise ConfigurationError(
                    f"two operations have the name '{name}': one in {self._module[name]}, one in {module}"
                )
            self._by_name[name] = operation
            self._module[name] = module

    def with_settings(self, settings: Settings) -> "Catalog":
        """Return a catalog of the same operations with the time limits of these settings.

        They validate their params with the settings, too.
        """
        bound = Catalog()
        for operation in self.operations():
            timeout = getattr(settings, operation.timeout_setting) if operation.timeout_setting else operation.timeout
            changed = replace(operation, validation_context=settings, timeout=timeout)
            bound.add(changed, self._module[operation.name])
        return bound

    def __getitem__(self, name: str) -> Operation:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def operations(self) -> list[Operation]:
        """Return every operation once, sorted by name."""
        return sorted({id(op): op for op in self._by_name.values()}.values(), key=lambda op: op.name)

    def queues(self) -> list[str]:
        """Return the queues of the operations."""
        return sorted({operation.queue for operation in self._by_name.values()})


def discover(modules: Iterable[str] = ()) -> Catalog:
    """Return the operations of all installed packages (entry points) and of the named modules.

    Raises ConfigurationError for a module that cannot be imported, and for a name conflict.
    """
    catalog = Catalog()
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
        _add_all(catalog, _load(point.value, point.load), point.value)
    for module in modules:
        _add_all(catalog, _load(module, lambda name=module: importlib.import_module(name)), module)
    return catalog


def _load(name: str, load: Any) -> Any:
    try:
        return load()
    except Exception as error:
        raise ConfigurationError(f"operations in '{name}' cannot be loaded: {type(error).__name__}: {error}") from error


def _add_all(catalog: Catalog, found: Any, module: str) -> None:
    operations = (
        [found] if isinstance(found, Operation) else [v for v in vars(found).values() if isinstance(v, Operation)]
    )
    if not operations:
        raise ConfigurationError(f"'{module}' contains no operation")
    for operation in operations:
        catalog.add(operation, module)
