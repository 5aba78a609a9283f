"""A stretch of a file's sound, lossless and as long as asked for to the sample."""

from fractions import Fraction
from pathlib import Path

from callsheet.media.encoding.loudness import LOSSLESS_ARGS
from callsheet.media.ffmpeg.filter_graph import FilterGraph, Options
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.probing.probe import MediaInfo

RATE = 48_000


def samples(time: Fraction) -> int:
    """Return the sample that belongs to a time in seconds."""
    return round(time * RATE)


def pcm_range_args(
    source: MediaInfo | None, output: Path, *, count: int, start: float = 0.0, layout: str = "stereo"
) -> list[str]:
    """Return the words that write `count` samples of a file's sound from `start` on; silence where it has none.

    Sound that begins late keeps its distance, and gaps are filled.
    """
    like: tuple[str, Options] = ("aformat", {"sample_fmts": "fltp", "sample_rates": RATE, "channel_layouts": layout})
    graph, words = FilterGraph(), []
    if source is None or not source.has_audio:
        sound = graph.add("anullsrc", r=RATE, cl=layout)
    else:
        words = media_input(source.path, start=start, length=count / RATE + 0.1)
        sound = graph.chain("0:a:0", ("aresample", {"osr": RATE, "async": 1, "first_pts": 0}))
    sound = graph.chain(
        sound,
        like,
        ("apad", {"whole_len": count}),
        ("atrim", {"end_sample": count}),
        ("asetpts", {"expr": "PTS-STARTPTS"}),
    )
    return [*words, "-filter_complex", str(graph), "-map", f"[{sound}]", "-vn", *LOSSLESS_ARGS, file_url(output)]
