"""The resource watch: how often workers measure their machines, and from which use on they warn."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, Field

from callsheet.domain.durations import Duration
from callsheet.domain.resource_warnings import WarningLimits

_Percent = Annotated[float, Field(gt=0, le=100)]


class ResourceSettings(BaseModel):
    """The resource watch."""

    resource_interval: Duration = Field(
        timedelta(minutes=1),
        ge=timedelta(seconds=5),
        le=timedelta(minutes=10),
        description="Time between two measurements of the machine of a worker: processor, memory, disks, GPUs",
    )
    resource_warn_cpu: _Percent = Field(
        95.0, description="Use of all processor cores from which on a worker warns, in percent; 100: no warning"
    )
    resource_warn_memory: _Percent = Field(
        90.0, description="The same for the memory of the machine, or of its container"
    )
    resource_warn_disk: _Percent = Field(
        90.0, description="The same for the file systems of the data folder and the scratch space"
    )
    resource_warn_gpu_memory: _Percent = Field(95.0, description="The same for the memory of each GPU")
    resource_warn_margin: float = Field(
        5.0,
        ge=0,
        le=50,
        description="A warning ends when the use is so many percentage points below the value from which on it warns",
    )
    resource_warn_after: int = Field(
        5, ge=1, le=1000, description="Number of measurements in a row that are too high, before a warning begins"
    )

    @property
    def warning_limits(self) -> WarningLimits:
        """When a resource is high."""
        percent = {
            "cpu": self.resource_warn_cpu,
            "memory": self.resource_warn_memory,
            "disk": self.resource_warn_disk,
            "gpu-memory": self.resource_warn_gpu_memory,
        }
        return WarningLimits(percent, margin=self.resource_warn_margin, measurements=self.resource_warn_after)
