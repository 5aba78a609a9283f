"""What a worker process of one GPU gets: its device, its name, its lanes."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from callsheet.processes.gpus import Gpu
    from callsheet.settings import Settings

GPU_QUEUE = "gpu"
"""The queue that the workers of GPUs serve, unless others are named."""


async def find_gpus(given: str) -> "list[Gpu]":
    """Return the GPUs that the option `--gpus` names. Raises ConfigurationError."""
    from callsheet.processes.gpus import choose_gpus, list_gpus

    return choose_gpus(given, await list_gpus(), visible=os.environ.get("CUDA_VISIBLE_DEVICES"))


def gpu_lanes(queues: str | None, concurrency: str | None) -> tuple[str, str | None]:
    """Return queues and concurrency of the worker of a GPU: one slot for `gpu`, unless another size is given."""
    from callsheet.domain.queues import canonical_queue

    queues = queues or GPU_QUEUE
    serves_gpu = GPU_QUEUE in {canonical_queue(name.strip()) for name in queues.split(",")}
    sizes = (concurrency or "").replace(" ", "")
    if serves_gpu and not any(part.split("=")[0] == GPU_QUEUE for part in sizes.split(",")):
        sizes = ",".join(filter(None, [sizes, f"{GPU_QUEUE}=1"]))
    return queues, sizes or None


def gpu_environment(settings: "Settings", gpu: "Gpu", *, place: int, name: str) -> Mapping[str, str]:
    """Return the variables of the worker of a GPU, which is the `place`-th one. `name` is that of all of them."""
    variables = {"CUDA_VISIBLE_DEVICES": gpu.uuid, "CALLSHEET_WORKER_NAME": f"{name}-gpu{gpu.index}"}
    if settings.monitor_port is not None:
        variables["CALLSHEET_MONITOR_PORT"] = str(settings.monitor_port + place)
    return variables
