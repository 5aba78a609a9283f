"""What this plane can run, as control planes read it: the contents of `capabilities.json`."""

from importlib.metadata import version

from callsheet.intake.redis_streams.messages import PlaneCapabilityManifest, TaskCapability
from callsheet.operation_api.catalog import Catalog
from callsheet.operation_api.manifest import describe


def capability_manifest(catalog: Catalog) -> PlaneCapabilityManifest:
    """Return what this plane can run: every operation under its name and its aliases."""
    tasks = []
    for operation in catalog.operations():
        record = describe(operation)
        for name in (record.name, *record.aliases):
            tasks.append(
                TaskCapability(
                    name=name,
                    summary=record.summary,
                    params_schema=record.params_schema,
                    result_schema=record.result_schema,
                )
            )
    return PlaneCapabilityManifest(version=version("callsheet"), tasks=tasks)
