"""GPUs by NVML and by nvidia-smi. No GPU is here: the module and the command are fakes with the real ones' shape."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from callsheet.machine.gpus import measure_gpus

GIB = 2**30


class FakeNvml(ModuleType):
    """What `measure_gpus` uses of nvidia-ml-py 13: names, arguments and types are those of the package."""

    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        """Base class of all its errors."""

    def __init__(self, *gpus, init_error=None):
        super().__init__("pynvml")
        self._gpus = gpus
        self._init_error = init_error
        self.open = 0

    def nvmlInit(self):
        if self._init_error is not None:
            raise self.NVMLError(self._init_error)
        self.open += 1

    def nvmlShutdown(self):
        self.open -= 1

    def nvmlDeviceGetCount(self):
        assert self.open == 1
        return len(self._gpus)

    def nvmlDeviceGetHandleByIndex(self, index):
        return self._gpus[index]

    def nvmlDeviceGetName(self, handle):
        return handle["name"]

    def nvmlDeviceGetUUID(self, handle):
        return handle["uuid"]

    def nvmlDeviceGetMemoryInfo(self, handle):
        if isinstance(handle["memory"], str):
            raise self.NVMLError(handle["memory"])
        total, free = handle["memory"]
        return SimpleNamespace(total=total, free=free, used=total - free)

    def nvmlDeviceGetUtilizationRates(self, handle):
        if handle["percent"] is None:
            raise self.NVMLError("Not Supported")
        return SimpleNamespace(gpu=handle["percent"], memory=3)

    def nvmlDeviceGetTemperature(self, handle, sensor):
        assert sensor == self.NVML_TEMPERATURE_GPU
        if handle["temperature"] is None:
            raise self.NVMLError("Not Supported")
        return handle["temperature"]


def device(uuid="GPU-1a2b", name="NVIDIA H200", percent=88, memory=(140 * GIB, 35 * GIB), temperature=61):
    return {"uuid": uuid, "name": name, "percent": percent, "memory": memory, "temperature": temperature}


@pytest.fixture
def use_nvml(monkeypatch):
    def use(*gpus, **options):
        nvml = FakeNvml(*gpus, **options)
        monkeypatch.setitem(sys.modules, "pynvml", nvml)
        return nvml

    return use


@pytest.fixture
def use_command(monkeypatch, tmp_path):
    """Put an `nvidia-smi` on the path that prints these lines, and hide NVML."""

    def use(*lines, status=0):
        command = tmp_path / "nvidia-smi"
        arguments = "--query-gpu=index,uuid,name,utilization.gpu,memory.total,memory.free,temperature.gpu"
        text = "\n".join(lines)
        command.write_text(f'#!/bin/sh\n[ "$1" = {arguments} ] || exit 9\ncat <<END\n{text}\nEND\nexit {status}\n')
        command.chmod(0o755)
        monkeypatch.setitem(sys.modules, "pynvml", None)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return use


def test_nvml_gives_name_use_memory_and_temperature(use_nvml):
    nvml = use_nvml(device(), device(uuid="GPU-3c4d", name=b"NVIDIA L4"))

    first, second = measure_gpus({})

    assert (first.index, first.name, first.percent, first.temperature) == (0, "NVIDIA H200", 88, 61)
    assert (first.memory_percent, first.memory_total, first.memory_free) == (75, 140 * GIB, 35 * GIB)
    assert (second.index, second.name) == (1, "NVIDIA L4")
    assert nvml.open == 0


def test_what_a_divided_gpu_does_not_say_is_unknown(use_nvml):
    use_nvml(device(percent=None, temperature=None))

    [gpu] = measure_gpus({})

    assert (gpu.percent, gpu.temperature, gpu.memory_percent) == (None, None, 75)


def test_a_gpu_that_fails_costs_the_measurement_of_gpus_only(use_nvml):
    nvml = use_nvml(device(), device(memory="GPU is lost"))

    assert measure_gpus({}) == []
    assert nvml.open == 0


def test_without_a_driver_for_nvml_nvidia_smi_is_asked(use_command, use_nvml):
    use_command("0, GPU-1a2b, NVIDIA L4, 5, 23034, 22000, 40")
    use_nvml(init_error="Driver Not Loaded")

    assert [gpu.name for gpu in measure_gpus({})] == ["NVIDIA L4"]


def test_the_command_gives_the_same(use_command):
    use_command(
        "0, GPU-1a2b, NVIDIA GeForce RTX 4090, 88, 24564, 6141, 67",
        "1, GPU-3c4d, NVIDIA GeForce RTX 4090, [N/A], 24564, 24564, [N/A]",
    )

    first, second = measure_gpus({})

    assert (first.name, first.percent, first.temperature) == ("NVIDIA GeForce RTX 4090", 88, 67)
    assert (first.memory_percent, first.memory_total) == (75, 24564 * 2**20)
    assert (second.percent, second.temperature, second.memory_percent) == (None, None, 0)


@pytest.mark.parametrize(("lines", "status"), [(["No devices were found"], 0), (["NVIDIA-SMI has failed"], 9)])
def test_a_command_that_fails_gives_no_gpu(use_command, lines, status):
    use_command(*lines, status=status)

    assert measure_gpus({}) == []


def test_a_machine_without_nvml_and_command_has_no_gpu(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert measure_gpus({}) == []


@pytest.mark.parametrize(
    ("chosen", "indexes"),
    [("1", [1]), ("0, 2", [0, 2]), ("GPU-3c", [1]), ("", []), ("-1", []), ("7", [])],
)
def test_only_the_gpus_that_the_process_may_use_are_measured(use_nvml, chosen, indexes):
    use_nvml(device(), device(uuid="GPU-3c4d"), device(uuid="GPU-5e6f"))

    assert [gpu.index for gpu in measure_gpus({"CUDA_VISIBLE_DEVICES": chosen})] == indexes
