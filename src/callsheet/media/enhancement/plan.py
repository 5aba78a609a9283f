"""The plan of an enhanced video: its parts, how they are made, and their cache keys."""

import asyncio
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

from callsheet.files.digest import sha256_of_file
from callsheet.media.enhancement.model_files import model_digest
from callsheet.media.enhancement.process import runtime_version
from callsheet.media.enhancement.requests import (
    InterpolateRequest,
    JoinRequest,
    Part,
    Ratio,
    UpscaleRequest,
    VideoSource,
)

_KEY_VERSION = 1
"""Part of every key. Increase it when equal requests start to produce different output."""

PartRequest = UpscaleRequest | InterpolateRequest


@dataclass(frozen=True, slots=True)
class Listing:
    """The frames of a video by its packets, and the model's answer to them."""

    parts: tuple[Part, ...]
    frames: tuple[int, ...]
    """Number of frames of each part."""
    time_base: Ratio
    rate: Ratio | None
    """Average frames per second, if the file has it."""
    end: int
    """Timestamp of the end of the last frame."""
    inputs: int
    """Number of inputs of the model; 0 without a model."""
    scale: int | None
    """Factor of a model that upscales."""

    @property
    def seconds(self) -> float:
        """Duration of the video."""
        return float((self.end - self.parts[0].start) * Fraction(*self.time_base))

    def join_request(
        self, source: VideoSource, folder: str, output: Path, format: str, tags: dict[str, str]
    ) -> JoinRequest:
        """Return the request that joins all parts, whose frames have the times of the source."""
        return JoinRequest(
            source=source,
            parts=list(self.parts),
            time_base=self.time_base,
            output_time_base=self.time_base,
            end=self.end,
            folder=folder,
            output=str(output),
            format="matroska" if format == "mkv" else "mov" if format == "mov" else "mp4",
            tags=tags,
        )


@dataclass(frozen=True, slots=True)
class EnhancementPlan:
    """How a video is made: one request for all parts. Requests for some parts are cut from it."""

    request: PartRequest
    listing: Listing
    keys: tuple[str, ...]
    """Cache key of each part."""

    def path_of(self, number: int) -> Path:
        """Return the path of the file of a part."""
        return Path(self.request.folder) / f"{number}.mp4"

    def request_for(self, numbers: list[int]) -> PartRequest:
        """Return the request for some parts."""
        return replace(self.request, parts=[self.listing.parts[number] for number in numbers])

    def join_request(self, output: Path, format: str, tags: dict[str, str]) -> JoinRequest:
        """Return the request that joins all parts."""
        request = self.request
        joined = self.listing.join_request(request.source, request.folder, output, format, tags)
        if isinstance(request, InterpolateRequest):
            return replace(joined, output_time_base=request.output_time_base)
        return joined


async def plan_enhancement(request: PartRequest, listing: Listing) -> EnhancementPlan:
    """Return the plan of a request whose parts are those of the listing. The source and the model are read."""
    keys = await asyncio.to_thread(_keys, request, listing)
    return EnhancementPlan(request, listing, keys)


def _keys(request: PartRequest, listing: Listing) -> tuple[str, ...]:
    facts = asdict(request)
    for name in ("parts", "folder", "model"):
        del facts[name]
    del facts["source"]["file"], facts["compute"]["threads"], facts["encode"]["threads"]
    restoration = facts.pop("faces", None)
    if isinstance(request, UpscaleRequest) and request.faces is not None:
        restoration = [model_digest(request.faces.detector), model_digest(request.faces.restorer), request.faces.weight]
    common = [
        _KEY_VERSION,
        type(request).__name__,
        runtime_version(request.model.runtime),
        f"av {version('av')}",
        sha256_of_file(Path(request.source.file.path)),
        model_digest(request.model),
        facts,
        restoration,
    ]
    return tuple(
        f"enhanced/{hashlib.sha256(json.dumps([*common, part.start, part.end]).encode()).hexdigest()}"
        for part in listing.parts
    )
