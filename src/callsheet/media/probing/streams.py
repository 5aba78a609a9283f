"""The streams, chapters and tags of a media file."""

from typing import Any, Literal

from pydantic import Field

from callsheet.domain.model import Model

StreamType = Literal["video", "audio", "subtitle", "data", "attachment"]

# FFmpeg's names of the code points of ITU-T H.273.
_MATRICES = {0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc"}
_PRIMARIES = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020"}
_PRIMARIES |= {11: "smpte431", 12: "smpte432", 22: "ebu3213"}
_TRANSFERS = {
    1: "bt709",
    4: "gamma22",
    5: "gamma28",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    18: "arib-std-b67",
}
_RANGES = {1: "tv", 2: "pc"}
_HDR: dict[int, Literal["pq", "hlg"]] = {16: "pq", 18: "hlg"}

_TAGS = (
    "title artist album album_artist composer performer genre date year track disc comment description synopsis "
    "show episode_id season_number copyright publisher encoder creation_time language"
)
_ALLOWED_TAGS = frozenset(_TAGS.split())
"""An allow-list: cameras and phones use many vendor-specific tags for location and owner."""
_MAX_TAG_LENGTH = 1000


class Stream(Model):
    """One stream. A field is None if it does not apply, or the file does not state it."""

    index: int
    type: StreamType
    codec: str | None = Field(None, examples=["h264"])
    profile: str | None = Field(None, examples=["High"])
    language: str | None = Field(None, description="As stated in the file", examples=["eng"])
    title: str | None = None
    default: bool = Field(False, description="Whether players select it automatically")
    forced: bool = Field(False, description="Subtitles that are always shown")
    start: float = Field(0.0, description="Seconds")
    duration: float | None = Field(None, description="Seconds")
    bit_rate: int | None = Field(None, description="Bits per second")
    width: int | None = Field(None, description="Pixels, as stored")
    height: int | None = Field(None, description="Pixels, as stored")
    fps: float | None = None
    frames: int | None = Field(None, description="If the container states it")
    pixel_format: str | None = Field(None, examples=["yuv420p"])
    bit_depth: int | None = Field(None, examples=[8])
    color_matrix: str | None = Field(None, examples=["bt709"])
    color_primaries: str | None = Field(None, examples=["bt709"])
    color_transfer: str | None = Field(None, examples=["bt709", "smpte2084"])
    color_range: Literal["tv", "pc"] | None = Field(None, description="`tv`: 16 to 235; `pc`: 0 to 255")
    hdr: Literal["pq", "hlg"] | None = None
    pixel_aspect_ratio: str | None = Field(None, description="Width to height of one pixel", examples=["1:1"])
    cover: bool = Field(False, description="Cover art: an image attached to the file, not part of the video")
    channels: int | None = None
    channel_layout: str | None = Field(None, examples=["stereo", "5.1"])
    sample_rate: int | None = Field(None, description="Hertz")


class Chapter(Model):
    """A named part of a file."""

    start: float = Field(description="Seconds")
    end: float = Field(description="Seconds")
    title: str | None = None


def read_stream(facts: dict[str, Any]) -> Stream:
    """Return a stream from the facts of the prober."""
    matrix, primaries, transfer, color_range = (
        facts.get(key, -1) for key in ("matrix", "primaries", "transfer", "range")
    )
    pixel_aspect = facts.get("pixel_aspect")
    return Stream.model_validate(
        {
            **{key: value for key, value in facts.items() if key in Stream.model_fields},
            "color_matrix": _MATRICES.get(matrix),
            "color_primaries": _PRIMARIES.get(primaries),
            "color_transfer": _TRANSFERS.get(transfer),
            "color_range": _RANGES.get(color_range),
            "hdr": _HDR.get(transfer),
            "pixel_aspect_ratio": f"{pixel_aspect[0]}:{pixel_aspect[1]}" if pixel_aspect else None,
        }
    )


def color_numbers(stream: Stream) -> tuple[int | None, int | None, int | None]:
    """Return matrix, primaries and transfer of a stream by their numbers in ITU-T H.273. None: not stated."""
    matrices = {name: number for number, name in _MATRICES.items()}
    primaries = {name: number for number, name in _PRIMARIES.items()}
    transfers = {name: number for number, name in _TRANSFERS.items()}
    return (
        matrices.get(stream.color_matrix or ""),
        primaries.get(stream.color_primaries or ""),
        transfers.get(stream.color_transfer or ""),
    )


def read_chapters(facts: list[dict[str, Any]]) -> tuple[Chapter, ...]:
    """Return the chapters from the facts of the prober."""
    return tuple(Chapter.model_validate(each) for each in facts)


def read_tags(tags: dict[str, str]) -> dict[str, str]:
    """Return the tags that describe the content, without those that identify place, author or device."""
    return {name: value[:_MAX_TAG_LENGTH] for key, value in tags.items() if (name := key.lower()) in _ALLOWED_TAGS}
