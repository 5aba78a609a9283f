"""The GPUs that nvidia-smi lists, and which of them are chosen. The program is a script with its real output."""

import os

import pytest

from callsheet.domain.errors import ConfigurationError
from callsheet.processes.gpus import Gpu, choose_gpus, list_gpus

LISTED = """\
0, GPU-8c2b6f30-5d4f-0f27-9d5b-6c8e7a1f2b3c, NVIDIA L40S
1, GPU-1f0a9f1e-77aa-4a0e-8c55-0d9d0c4be0aa, NVIDIA L40S
2, GPU-1f0b0000-0000-4a0e-8c55-0d9d0c4be0bb, NVIDIA H100 80GB HBM3
"""
FIRST, SECOND, THIRD = (
    Gpu(0, "GPU-8c2b6f30-5d4f-0f27-9d5b-6c8e7a1f2b3c", "NVIDIA L40S"),
    Gpu(1, "GPU-1f0a9f1e-77aa-4a0e-8c55-0d9d0c4be0aa", "NVIDIA L40S"),
    Gpu(2, "GPU-1f0b0000-0000-4a0e-8c55-0d9d0c4be0bb", "NVIDIA H100 80GB HBM3"),
)
GPUS = [FIRST, SECOND, THIRD]


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Put a program `nvidia-smi` with this output and exit status on the path."""

    def put(output, status=0):
        (tmp_path / "output").write_text(output)
        program = tmp_path / "nvidia-smi"
        program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncat {tmp_path}/output\nexit {status}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return tmp_path / "asked"

    return put


async def test_all_gpus_are_listed(nvidia_smi):
    asked = nvidia_smi(LISTED)

    assert await list_gpus() == GPUS
    assert asked.read_text().split() == ["--query-gpu=index,uuid,name", "--format=csv,noheader"]


async def test_no_driver_is_a_clear_error(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ConfigurationError, match="There is no GPU: the program nvidia-smi"):
        await list_gpus()


@pytest.mark.parametrize(
    ("output", "status", "error"),
    [
        ("No devices were found\n", 0, "There is no GPU: .*nvidia-smi lists none"),
        ("No devices were found\n", 6, "cannot list the GPUs: No devices were found"),
        (
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest "
            "NVIDIA driver is installed and running.\n",
            9,
            "couldn't communicate with the NVIDIA driver",
        ),
        ("", 255, "exit status 255"),
    ],
)
async def test_a_driver_that_does_not_work_is_a_clear_error(nvidia_smi, output, status, error):
    nvidia_smi(output, status)

    with pytest.raises(ConfigurationError, match=error):
        await list_gpus()


@pytest.mark.parametrize(
    ("given", "visible", "chosen"),
    [
        ("all", None, GPUS),
        (" ALL ", None, GPUS),
        ("2,0", None, [THIRD, FIRST]),
        ("GPU-8c2b", None, [FIRST]),
        ("all", "1", [SECOND]),
        ("all", "2,GPU-8c2b6f30", [THIRD, FIRST]),
        ("0", "0,1", [FIRST]),
    ],
)
def test_gpus_are_chosen_by_index_or_uuid_among_the_visible_ones(given, visible, chosen):
    assert choose_gpus(given, GPUS, visible=visible) == chosen


@pytest.mark.parametrize(
    ("given", "visible", "error"),
    [
        ("3", None, r"--gpus: there is no GPU '3'. Use `all`, or some of: 0 \(NVIDIA L40S\), 1 "),
        ("GPU-1f0", None, "there is no GPU 'GPU-1f0'"),
        ("1,1", None, "the GPU '1' is named twice"),
        (",", None, "no GPU is named"),
        ("1", "0", r"--gpus: there is no GPU '1'. Use `all`, or some of: 0 \(NVIDIA L40S\)\."),
        ("all", "7", "CUDA_VISIBLE_DEVICES: there is no GPU '7'"),
        ("all", "", "CUDA_VISIBLE_DEVICES: no GPU is named"),
    ],
)
def test_a_gpu_that_is_not_there_is_a_clear_error(given, visible, error):
    with pytest.raises(ConfigurationError, match=error):
        choose_gpus(given, GPUS, visible=visible)
