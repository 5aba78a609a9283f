"""Script for the environment with torch: make a tiny diffusion model, then check LoRAs for it.

The first argument is the folder of the model. It writes a model with random weights there, and prints `made`. Then, for
each path of a LoRA on stdin, it loads the LoRA with diffusers, and prints as JSON the number of adapted layers, and how
much the LoRA changes the output of the model. One process does both, because importing diffusers takes seconds.
"""

import json
import sys
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders import StableDiffusionLoraLoaderMixin


def make(folder):
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=64,
        in_channels=3,
        out_channels=3,
        block_out_channels=(8, 8, 16),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=2,
    )
    unet.save_pretrained(folder / "unet")
    return unet.eval()


@torch.no_grad()
def check(unet, lora):
    noise, text = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)), torch.zeros(1, 1, 16)
    before = unet(noise, 500, text).sample
    weights, alphas = StableDiffusionLoraLoaderMixin.lora_state_dict(str(lora), unet_config=unet.config)
    unet.load_lora_adapter(weights, network_alphas=alphas, prefix="unet")
    after = unet(noise, 500, text).sample
    layers = sum(name.endswith("lora_A.default_0.weight") for name, _ in unet.named_parameters())
    return {"layers": layers, "change": (after - before).abs().mean().item()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    model = make(Path(sys.argv[1]))
    print("made", flush=True)
    for line in sys.stdin:
        print(json.dumps(check(model, line.strip())), flush=True)
