"""An exact range of a file's audio, as lossless PCM."""

from pathlib import Path

from callsheet.media.encoding.downmix import downmix_filters
from callsheet.media.encoding.pcm import LOSSLESS_ARGS, SAMPLE_RATE
from callsheet.media.ffmpeg.filter_graph import FilterGraph, Options
from callsheet.media.ffmpeg.inputs import audio_input, file_url
from callsheet.media.filters.source_frames import audio_stream
from callsheet.media.probing.probe import MediaInfo


def pcm_range_args(
    source: MediaInfo | None, output: Path, *, count: int, start: float = 0.0, layout: str = "stereo"
) -> list[str]:
    """Return the arguments that write `count` samples of a file's audio from `start` seconds on.

    Without an audio stream they write silence. Audio that starts late keeps its delay, and gaps are filled.
    """
    output_format: tuple[str, Options] = (
        "aformat",
        {"sample_fmts": "fltp", "sample_rates": SAMPLE_RATE, "channel_layouts": layout},
    )
    graph = FilterGraph()
    args: list[str] = []
    if source is None or not source.has_audio:
        audio = graph.add("anullsrc", r=SAMPLE_RATE, cl=layout)
    else:
        args, early = audio_input(source.path, start, count / SAMPLE_RATE + 0.1)
        audio = graph.chain(
            audio_stream(source),
            ("asetpts", {"expr": f"PTS-{early:.6f}/TB"}),
            ("aresample", {"osr": SAMPLE_RATE, "async": 1, "first_pts": 0}),
            *downmix_filters(source.audio_layout),
        )
    audio = graph.chain(
        audio,
        output_format,
        ("apad", {"whole_len": count}),
        ("atrim", {"end_sample": count}),
        ("asetpts", {"expr": "PTS-STARTPTS"}),
    )
    return [*args, "-filter_complex", str(graph), "-map", f"[{audio}]", "-vn", *LOSSLESS_ARGS, file_url(output)]
