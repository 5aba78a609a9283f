"""The load of the machine of a worker: what was measured, and what of it is high."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from callsheet.domain.model import Model

_MEBIBYTE = 2**20


class CpuUse(Model):
    """Load of all processor cores together."""

    percent: float = Field(description="Since the measurement before", examples=[41.5])
    count: int = Field(description="Processor cores")
    load: float = Field(description="Load average of the last minute: processes that run or wait", examples=[3.2])


class MemoryUse(Model):
    """Memory of the machine, or of its container if that has a limit. Sizes in bytes."""

    percent: float = Field(examples=[62.0])
    total: int
    available: int
    worker: int = Field(description="Resident memory of the worker process and its child processes")


class DiskUse(Model):
    """A file system. Sizes in bytes."""

    folders: list[str] = Field(
        description="What is on it: `data` (data folder), `scratch` (working files of jobs)", examples=[["data"]]
    )
    percent: float = Field(examples=[74.1])
    total: int
    free: int


class GpuUse(Model):
    """A GPU that the worker can use. Sizes in bytes."""

    index: int
    name: str = Field(examples=["NVIDIA GeForce RTX 4090"])
    percent: float | None = Field(description="Time in which it calculated; null: the driver does not say")
    memory_percent: float
    memory_total: int
    memory_free: int
    temperature: float | None = Field(None, description="Degrees Celsius; null: the driver does not say")


class ResourceWarning(Model):
    """A resource that is used beyond its limit."""

    resource: str = Field(
        description="`cpu`, `memory`, `disk:FOLDER` or `gpu-memory:INDEX`", examples=["disk:data", "gpu-memory:0"]
    )
    percent: float = Field(description="Its use, at the newest measurement", examples=[93.4])
    limit: float = Field(description="Use from which it is high", examples=[90.0])
    since: datetime


class Resources(Model):
    """One measurement of the machine of a worker."""

    at: datetime
    host: str
    cpu: CpuUse
    memory: MemoryUse
    disks: list[DiskUse]
    gpus: list[GpuUse] = Field(description="Empty: none, or none whose driver can be asked")
    warnings: list[ResourceWarning] = Field(default_factory=list, description="What is high")

    def levels(self) -> dict[str, float]:
        """Return the use of each resource in percent, by its name."""
        found = {"cpu": self.cpu.percent, "memory": self.memory.percent}
        found |= {f"disk:{disk.folders[0]}": disk.percent for disk in self.disks}
        for gpu in self.gpus:
            if gpu.percent is not None:
                found[f"gpu:{gpu.index}"] = gpu.percent
            found[f"gpu-memory:{gpu.index}"] = gpu.memory_percent
        return found


class ResourcePoint(Model):
    """The use of resources in a period."""

    at: datetime = Field(description="Start of the period; of a single measurement, its time")
    seconds: int = Field(description="Length of the period", examples=[60, 600])
    worker_id: UUID = Field(description="Workers of the same name, one after the other, have different ids")
    average: dict[str, float] = Field(
        description="Resource (`cpu`, `memory`, `disk:data`, `gpu:0`, `gpu-memory:0`) → percent",
        examples=[{"cpu": 41.5, "memory": 62.0, "disk:data": 74.1}],
    )
    highest: dict[str, float] = Field(description="Resource → the highest percent that was measured in the period")


def earlier_document(resources: Mapping[str, Any]) -> dict[str, Any]:
    """Return a measurement, as JSON, in the words of systems that Callsheet replaces.

    It has `cpu`, `memory`, `disk` (the file system of the data folder) and `gpu`, whose memory is in mebibytes, beside
    what the API has and they did not.
    """
    disks = resources["disks"]
    data = next((disk for disk in disks if "data" in disk["folders"]), None)
    gpus = [
        {
            "index": gpu["index"],
            "name": gpu["name"],
            "utilization": gpu["percent"],
            "memory_total": gpu["memoryTotal"] // _MEBIBYTE,
            "memory_free": gpu["memoryFree"] // _MEBIBYTE,
            "temperature": gpu["temperature"],
        }
        for gpu in resources["gpus"]
    ]
    return {
        "at": resources["at"],
        "host": resources["host"],
        "cpu": resources["cpu"],
        "memory": resources["memory"],
        "disk": data and {name: data[name] for name in ("percent", "total", "free")},
        "disks": disks,
        "gpu": {"available": bool(gpus), "count": len(gpus), "gpus": gpus},
        "warnings": resources["warnings"],
    }
