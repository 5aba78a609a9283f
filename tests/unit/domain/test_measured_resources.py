"""A measurement by the names of its resources, and in the words of the systems that Callsheet replaces."""

from datetime import UTC, datetime

from callsheet.domain.resources import CpuUse, DiskUse, GpuUse, MemoryUse, Resources, earlier_document

GIB = 2**30


def gpu(index, percent):
    return GpuUse(
        index=index,
        name="NVIDIA L4",
        percent=percent,
        memory_percent=25,
        memory_total=24 * GIB,
        memory_free=18 * GIB,
        temperature=None,
    )


def measured(**fields):
    standard = {
        "at": datetime(2026, 11, 29, tzinfo=UTC),
        "host": "studio",
        "cpu": CpuUse(percent=12.5, count=8, load=1.5),
        "memory": MemoryUse(percent=50, total=32 * GIB, available=16 * GIB, worker=GIB),
        "disks": [
            DiskUse(folders=["scratch"], percent=10, total=GIB, free=GIB // 2),
            DiskUse(folders=["data"], percent=75, total=100 * GIB, free=25 * GIB),
        ],
        "gpus": [gpu(0, 80.0), gpu(1, None)],
    }
    return Resources(**{**standard, **fields})


def test_each_resource_has_a_name_and_a_percentage():
    assert measured().levels() == {
        "cpu": 12.5,
        "memory": 50,
        "disk:scratch": 10,
        "disk:data": 75,
        "gpu:0": 80,
        "gpu-memory:0": 25,
        "gpu-memory:1": 25,
    }


def test_the_document_for_earlier_systems_has_their_fields():
    document = earlier_document(measured().model_dump(mode="json"))

    assert document["cpu"]["percent"] == 12.5 and document["cpu"]["count"] == 8
    assert (document["memory"]["total"], document["memory"]["available"]) == (32 * GIB, 16 * GIB)
    assert document["disk"] == {"percent": 75, "total": 100 * GIB, "free": 25 * GIB}
    assert (document["gpu"]["available"], document["gpu"]["count"]) == (True, 2)
    first = document["gpu"]["gpus"][0]
    assert (first["memory_total"], first["memory_free"], first["utilization"]) == (24576, 18432, 80)


def test_a_machine_without_a_gpu_says_so_in_the_document():
    document = earlier_document(measured(gpus=[]).model_dump(mode="json"))

    assert document["gpu"] == {"available": False, "count": 0, "gpus": []}
