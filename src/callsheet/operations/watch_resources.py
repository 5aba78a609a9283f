"""Measure the machine that runs the job."""

from dataclasses import replace
from datetime import timedelta

from callsheet.domain.model import Model
from callsheet.domain.resource_warnings import ResourceWarnings
from callsheet.domain.resources import Resources
from callsheet.machine.sampler import Sampler
from callsheet.operation_api.contract import Context, operation


class WatchResourcesParams(Model):
    """No params."""


@operation("watch-resources", timeout=timedelta(minutes=2), aliases=["monitor_resources", "monitor_resources_task"])
async def watch_resources(job: Context, params: WatchResourcesParams) -> Resources:
    """Measure processor, memory, disks and GPUs of the machine that runs the job; it takes a second."""
    del params
    settings = job.settings
    resources = await Sampler({"data": settings.data_dir, "scratch": settings.scratch_dir}).measure()
    # One measurement has no others before it: what is above its limit now is high.
    warnings = ResourceWarnings(replace(settings.warning_limits, measurements=1))
    warnings.update(resources.levels(), resources.at)
    return resources.model_copy(update={"warnings": warnings.active})
