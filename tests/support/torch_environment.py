"""The environment with torch, diffusers and peft, in which a real trainer runs."""

from pathlib import Path

import pytest

PYTHON = Path(__file__).parents[2] / ".venv-torch/bin/python"

SCRIPT = Path(__file__).with_name("tiny_diffusion.py")

needs_torch = pytest.mark.skipif(not PYTHON.exists(), reason="there is no .venv-torch: `make test` creates it")
