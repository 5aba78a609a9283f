"""A job context for previews. Its published files are not probed."""

import hashlib
from pathlib import Path
from uuid import uuid4

import numpy as np
from media.studio import FakeContext
from PIL import Image

from callsheet.domain.artifacts import Artifact
from callsheet.operations.preview import PreviewParams, PreviewResult, preview


class Gallery(FakeContext):
    """A job context that does not probe published files."""

    async def keep(self, path: Path, *, name: str | None = None, media_type: str | None = None) -> Artifact:
        self.kept.append(path)
        data = path.read_bytes()  # noqa: ASYNC240 - small, and nothing else runs
        return Artifact(
            artifact_id=uuid4(),
            name=name or path.name,
            key=f"preview/{self.id}/{path.name}",
            media_type=media_type or "image/jpeg",
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )


async def make_preview(stage: Gallery, src: Path, **params: object) -> tuple[PreviewResult, dict[str, Path]]:
    """Run the operation; return its result, and the published files by name."""
    result = await preview.run(stage, PreviewParams.model_validate({"src": str(src), **params}))
    assert isinstance(result, PreviewResult)
    return result, {path.name: path for path in stage.kept}


def level(path: Path, box: tuple[int, int, int, int] | None = None) -> float:
    """Return the mean gray level of an image, or of a part of it."""
    return float(np.asarray(Image.open(path).convert("L").crop(box)).mean())


def frame_number(path: Path, box: tuple[int, int, int, int] | None = None) -> float:
    """Return the number of the frame of a counting clip that an image shows."""
    return level(path, box) * 219 / 255 / 3
