"""Script: train a LoRA for a model in the folder format of diffusers, with peft.

It runs with the Python of PEFT_PYTHON and does not import Callsheet. The model folder has `unet`; `vae`, `text_encoder`
with `tokenizer`, and `scheduler` are used if they are there. Without a VAE the pictures themselves are the latents, and
without a text encoder all prompts are equal.

Written files, in the output folder: `<name>-step00000010.safetensors` for each checkpoint, `sample/*.png` for each
prompt of a checkpoint, `<name>-step00000010-state/` to resume from (only the newest), and `<name>.safetensors` at the
end. The LoRA has the names of kohya's format, which diffusers and ComfyUI read.
"""

import argparse
import json
import random
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler, UNet2DConditionModel
from diffusers.optimization import get_scheduler
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from PIL import Image
from safetensors.torch import save_file
from tqdm import tqdm

_TYPES = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_SAMPLE_STEPS = 12


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train a LoRA with diffusers and peft.")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--dataset", type=Path, required=True, help="JSON file with the files of the dataset")
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--output-name", required=True)
    parser.add_argument("--steps", type=int, required=True, help="optimizer steps in total")
    parser.add_argument("--save-every", type=int, required=True, help="optimizer steps between two checkpoints")
    parser.add_argument("--prompts", type=Path, help="JSON file with the prompts of samples")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--alpha", type=float, default=16.0)
    parser.add_argument("--target-modules", default="to_q,to_k,to_v,to_out.0")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--scheduler", default="constant")
    parser.add_argument("--warmup-steps", type=int, default=0)
    parser.add_argument("--accumulate", type=int, default=1, help="batches for one optimizer step")
    parser.add_argument("--gradient-checkpointing", action="store_true")
    parser.add_argument("--precision", choices=list(_TYPES), default="no")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--resume", type=Path, help="folder with a state")
    return parser.parse_args()


class Model:
    """The frozen model, and the adapters in its UNet."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        folder = arguments.model
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = _TYPES[arguments.precision]
        self.unet = self._frozen(UNet2DConditionModel.from_pretrained(folder, subfolder="unet"))
        self.vae = self._frozen(AutoencoderKL.from_pretrained(folder, subfolder="vae")) if _has(folder, "vae") else None
        self.text_encoder: Any = None
        if _has(folder, "text_encoder"):
            from transformers import CLIPTextModel, CLIPTokenizer

            self.tokenizer = CLIPTokenizer.from_pretrained(folder, subfolder="tokenizer")
            self.text_encoder = self._frozen(CLIPTextModel.from_pretrained(folder, subfolder="text_encoder"))
        has_schedule = _has(folder, "scheduler")
        self.noise = DDPMScheduler.from_pretrained(folder, subfolder="scheduler") if has_schedule else DDPMScheduler()
        torch.manual_seed(arguments.seed)
        self.unet.add_adapter(
            LoraConfig(r=arguments.rank, lora_alpha=arguments.alpha, target_modules=arguments.target_modules.split(","))
        )
        if arguments.gradient_checkpointing:
            self.unet.enable_gradient_checkpointing()
        self.trained = [weight for weight in self.unet.parameters() if weight.requires_grad]
        for weight in self.trained:
            weight.data = weight.data.float()

    def _frozen(self, part: Any) -> Any:
        part.requires_grad_(False)
        return part.to(self.device, self.dtype).eval()

    @torch.no_grad()
    def encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the latents of images with values from -1 to 1."""
        pixels = pixels.to(self.device, self.dtype)
        if self.vae is None:
            return pixels
        return self.vae.encode(pixels).latent_dist.sample() * self.vae.config.scaling_factor

    @torch.no_grad()
    def encode_texts(self, texts: list[str]) -> torch.Tensor:
        """Return the embeddings of captions."""
        if self.text_encoder is None:
            width = self.unet.config.cross_attention_dim
            return torch.zeros(len(texts), 1, width, device=self.device, dtype=self.dtype)
        tokens = self.tokenizer(
            texts,
            padding="max_length",
            truncation=True,
            max_length=self.tokenizer.model_max_length,
            return_tensors="pt",
        )
        return self.text_encoder(tokens.input_ids.to(self.device))[0]

    def loss(self, latents: torch.Tensor, embeddings: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the mean squared error of the predicted noise (or velocity) at random times."""
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        times = torch.randint(0, self.noise.config.num_train_timesteps, (len(latents),), generator=generator)
        times = times.to(self.device)
        noisy = self.noise.add_noise(latents, noise, times)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            predicted = self.unet(noisy, times, embeddings).sample
        is_velocity = self.noise.config.prediction_type == "v_prediction"
        target = self.noise.get_velocity(latents, noise, times) if is_velocity else noise
        return torch.nn.functional.mse_loss(predicted.float(), target.float())

    @torch.no_grad()
    def draw(self, prompt: dict[str, Any]) -> Image.Image:
        """Return a sample of a prompt."""
        scheduler = DDIMScheduler.from_config(self.noise.config)
        scheduler.set_timesteps(_SAMPLE_STEPS)
        factor = 1 if self.vae is None else 2 ** (len(self.vae.config.block_out_channels) - 1)
        generator = torch.Generator().manual_seed(prompt["seed"])
        shape = (1, self.unet.config.in_channels, prompt["height"] // factor, prompt["width"] // factor)
        latents = torch.randn(shape, generator=generator).to(self.device, self.dtype)
        embeddings = self.encode_texts([prompt["prompt"]])
        for time in scheduler.timesteps:
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                predicted = self.unet(latents, time, embeddings).sample
            latents = scheduler.step(predicted.to(latents.dtype), time, latents).prev_sample
        pixels = latents if self.vae is None else self.vae.decode(latents / self.vae.config.scaling_factor).sample
        levels = (pixels[0, :3].float().clamp(-1, 1).add(1) * 127.5).round().byte()
        return Image.fromarray(levels.permute(1, 2, 0).cpu().numpy())


def _has(folder: Path, part: str) -> bool:
    return (folder / part).is_dir()


class Dataset:
    """Batches of images of one size, with their captions, in a random order that the seed determines."""

    def __init__(self, path: Path, seed: int) -> None:
        content = json.loads(path.read_text("utf-8"))
        self._batch_size, self._flip = content["batchSize"], content["flip"]
        self._shuffle, self._keep = content["shuffleCaption"], content["keepTokens"]
        self._by_size: dict[tuple[int, int], list[dict[str, Any]]] = {}
        for file in content["files"]:
            self._by_size.setdefault(tuple(file["size"]), []).extend([file] * file["repeats"])
        self._seed = seed

    def batches(self) -> Iterator[tuple[torch.Tensor, list[str]]]:
        """Yield batches without an end; each file once per epoch and repeat."""
        order = random.Random(self._seed)  # noqa: S311 - an order, not a secret
        while True:
            epoch = []
            for files in self._by_size.values():
                order.shuffle(files)
                epoch += [files[at : at + self._batch_size] for at in range(0, len(files), self._batch_size)]
            order.shuffle(epoch)
            for batch in epoch:
                images = torch.stack([self._pixels(file, order) for file in batch])
                yield images, [self._caption(file["caption"], order) for file in batch]

    def _pixels(self, file: dict[str, Any], order: random.Random) -> torch.Tensor:
        width, height = file["size"]
        with Image.open(file["path"]) as opened:
            image = _eight_bits(opened).convert("RGB")
        scale = max(width / image.width, height / image.height)
        image = image.resize((max(width, round(image.width * scale)), max(height, round(image.height * scale))))
        left, top = (image.width - width) // 2, (image.height - height) // 2
        image = image.crop((left, top, left + width, top + height))
        if self._flip and order.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        levels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).reshape(height, width, 3)
        return levels.permute(2, 0, 1).float() / 127.5 - 1

    def _caption(self, caption: str, order: random.Random) -> str:
        if not self._shuffle:
            return caption
        parts = [part.strip() for part in caption.split(",")]
        rest = parts[self._keep :]
        order.shuffle(rest)
        return ", ".join([*parts[: self._keep], *rest])


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return a gray image of 16 bits with 8 bits, which a conversion to RGB would clip; any other one unchanged."""
    if not image.mode.startswith("I;16"):
        return image
    return image.convert("I").point(lambda level: level * (255 / 65535) + 0.5).convert("L")


class Training:
    """The optimizer, its schedule, and the files that are written."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self.model = Model(arguments)
        self._optimizer = torch.optim.AdamW(self.model.trained, lr=arguments.learning_rate)
        self._schedule = get_scheduler(
            arguments.scheduler,
            self._optimizer,
            num_warmup_steps=arguments.warmup_steps,
            num_training_steps=arguments.steps,
        )
        self._generator = torch.Generator().manual_seed(arguments.seed)
        self._prompts = json.loads(arguments.prompts.read_text("utf-8")) if arguments.prompts else []
        self.step = 0
        if arguments.resume is not None:
            self._load_state(arguments.resume)

    def run(self) -> None:
        """Train to the end."""
        arguments = self._arguments
        batches = Dataset(arguments.dataset, arguments.seed).batches()
        for _ in range(self.step * arguments.accumulate):
            next(batches)
        losses: list[float] = []
        bar = tqdm(total=arguments.steps, initial=self.step, desc="steps", mininterval=0.05, file=sys.stdout)
        while self.step < arguments.steps:
            losses.append(self._one_step(batches))
            recent = losses[-20:]
            bar.set_postfix(avr_loss=sum(recent) / len(recent), refresh=False)
            bar.update()
            if self.step % arguments.save_every == 0 and self.step < arguments.steps:
                self._checkpoint()
        bar.close()
        self._write_lora(arguments.output_dir / f"{arguments.output_name}.safetensors")
        self._write_samples()

    def _one_step(self, batches: Iterator[tuple[torch.Tensor, list[str]]]) -> float:
        count, total = self._arguments.accumulate, 0.0
        for _ in range(count):
            images, captions = next(batches)
            latents, embeddings = self.model.encode_images(images), self.model.encode_texts(captions)
            loss = self.model.loss(latents, embeddings, self._generator) / count
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(self.model.trained, 1.0)
        self._optimizer.step()
        self._schedule.step()
        self._optimizer.zero_grad()
        self.step += 1
        return total

    def _checkpoint(self) -> None:
        folder, name = self._arguments.output_dir, self._arguments.output_name
        self._write_lora(folder / f"{name}-step{self.step:08d}.safetensors")
        self._write_samples()
        state = folder / f"{name}-step{self.step:08d}-state"
        part = state.with_name(f"{state.name}.part")
        part.mkdir(exist_ok=True)
        torch.save(
            {
                "step": self.step,
                "lora": get_peft_model_state_dict(self.model.unet),
                "optimizer": self._optimizer.state_dict(),
                "schedule": self._schedule.state_dict(),
                "generator": self._generator.get_state(),
            },
            part / "state.pt",
        )
        part.rename(state)
        for old in folder.glob(f"{name}-step*-state"):
            if old != state:
                shutil.rmtree(old)

    def _load_state(self, folder: Path) -> None:
        state = torch.load(folder / "state.pt", weights_only=True)
        set_peft_model_state_dict(self.model.unet, state["lora"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._generator.set_state(state["generator"])
        self.step = state["step"]
        print(f"resumed at step {self.step}", flush=True)  # noqa: T201 - the output of this program

    def _write_lora(self, path: Path) -> None:
        arguments = self._arguments
        weights: dict[str, torch.Tensor] = {}
        for name, weight in get_peft_model_state_dict(self.model.unet).items():
            module, kind = re.fullmatch(r"(.*)\.lora_([AB])\.weight", name).groups()  # type: ignore[union-attr]
            key = f"lora_unet_{module.replace('.', '_')}"
            weights[f"{key}.lora_{'down' if kind == 'A' else 'up'}.weight"] = weight.detach().cpu().contiguous()
            weights[f"{key}.alpha"] = torch.tensor(arguments.alpha)
        metadata = {
            "ss_output_name": arguments.output_name,
            "ss_network_module": "networks.lora",
            "ss_network_dim": str(arguments.rank),
            "ss_network_alpha": str(arguments.alpha),
            "ss_learning_rate": str(arguments.learning_rate),
            "ss_steps": str(self.step),
            "ss_seed": str(arguments.seed),
        }
        part = path.with_suffix(".part")
        save_file(weights, part, metadata)
        part.rename(path)

    def _write_samples(self) -> None:
        folder = self._arguments.output_dir / "sample"
        for number, prompt in enumerate(self._prompts):
            folder.mkdir(exist_ok=True)
            path = folder / f"{self._arguments.output_name}_{self.step:06d}_{number:02d}.png"
            self.model.draw(prompt).save(path)


if __name__ == "__main__":
    Training(read_arguments()).run()
