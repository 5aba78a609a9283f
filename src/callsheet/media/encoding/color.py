"""What the numbers of a picture mean as colours."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ColorSpace:
    """How a picture tells its colours, by FFmpeg's names; always of limited range."""

    matrix: str
    primaries: str
    transfer: str

    @property
    def range(self) -> str:
        """The dynamic range, as playlists call it."""
        return {"smpte2084": "PQ", "arib-std-b67": "HLG"}.get(self.transfer, "SDR")

    def args(self) -> list[str]:
        """Return the output options that write it into the file."""
        told = ["-colorspace", self.matrix, "-color_primaries", self.primaries, "-color_trc", self.transfer]
        return [*told, "-color_range", "tv"]


SDR = ColorSpace("bt709", "bt709", "bt709")
"""What every screen shows rightly."""
PQ = ColorSpace("bt2020nc", "bt2020", "smpte2084")
HLG = ColorSpace("bt2020nc", "bt2020", "arib-std-b67")
