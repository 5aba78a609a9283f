"""A real training with torch, diffusers and peft, on the CPU."""

import asyncio
import json
import os
from contextlib import asynccontextmanager

from PIL import Image, ImageDraw
from tests.support import torch_environment
from tests.support.torch_environment import SCRIPT, needs_torch

from callsheet.operations.train_lora import TrainLoraParams, train_lora
from callsheet.settings import Settings
from callsheet.testing.context import RecordingContext


@asynccontextmanager
async def tiny_model(folder):
    """Make a tiny model, and keep its process to check LoRAs."""
    process = await asyncio.create_subprocess_exec(
        *(str(torch_environment.PYTHON), str(SCRIPT), str(folder)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"},
    )
    assert await process.stdout.readline() == b"made\n"
    yield process
    process.stdin.close()
    assert await process.wait() == 0


async def check(process, lora):
    """Load a LoRA with diffusers. Return the number of adapted layers, and how much the output changes."""
    process.stdin.write(f"{lora}\n".encode())
    return json.loads(await process.stdout.readline())


def draw_dataset(folder):
    folder.mkdir(parents=True)
    for number in range(4):
        image = Image.new("RGB", (80, 64), "navy")
        ImageDraw.Draw(image).ellipse((8 * number, 8, 8 * number + 40, 48), fill="gold")
        image.save(folder / f"{number}.png")


@needs_torch
async def test_a_real_training_lowers_the_loss_and_its_lora_changes_the_model(tmp_path):
    """It runs in the product's own trainer; its LoRA is loaded by diffusers."""
    model = tmp_path / "models/diffusers"
    draw_dataset(tmp_path / "sets/moon")
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path / "data",
        training_datasets=[tmp_path / "sets"],
        training_models=tmp_path / "models",
        training_mixed_precision="no",
        peft_python=torch_environment.PYTHON,
    )
    job = RecordingContext(tmp_path, operation="train-lora", settings=settings)
    params = TrainLoraParams(
        dataset="moon",
        trainingName="moon",
        caption="a moon",
        profile={"name": "diffusers-peft", "targetModules": ["to_q", "to_k", "to_v", "conv1", "conv2", "conv_out"]},
        resolution=64,
        buckets={"enabled": False},
        gradientCheckpointing=False,
        steps=10,
        saveEverySteps=5,
        batchSize=2,
        learningRate=0.02,
        networkDim=4,
        samplePrompts=["a moon"],
    )

    async with tiny_model(model) as process:
        result = await train_lora.run(job, params)
        found = await check(process, job.path_of(result.lora))

    losses = [point.loss for point in result.losses]
    assert losses[-1] < 0.9 * losses[0]
    assert result.lora.name == "moon.safetensors"
    assert [file.name for file in result.checkpoints] == ["moon-step00000005.safetensors"]
    assert [file.name for file in result.samples] == ["moon_000005_00.png", "moon_000010_00.png"]
    assert result.samples[0].probe.width == 64
    assert found["layers"] > 10
    assert found["change"] > 0.01
