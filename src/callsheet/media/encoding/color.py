"""Color spaces, by FFmpeg's names."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ColorSpace:
    """The color metadata of a video stream. The range is always limited (`tv`)."""

    matrix: str
    primaries: str
    transfer: str

    @property
    def range(self) -> str:
        """The dynamic range, as HLS playlists name it: `SDR`, `PQ` or `HLG`."""
        return {"smpte2084": "PQ", "arib-std-b67": "HLG"}.get(self.transfer, "SDR")

    def args(self) -> list[str]:
        """Return the output options that write the metadata into the file."""
        names = ["-colorspace", self.matrix, "-color_primaries", self.primaries, "-color_trc", self.transfer]
        return [*names, "-color_range", "tv"]


SDR = ColorSpace("bt709", "bt709", "bt709")
"""The color space that every screen displays correctly."""
PQ = ColorSpace("bt2020nc", "bt2020", "smpte2084")
HLG = ColorSpace("bt2020nc", "bt2020", "arib-std-b67")
