"""The words by which FFmpeg does the work of a plan in one decode."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from callsheet.media.encoding import codecs
from callsheet.media.encoding.encoders import Encoder
from callsheet.media.ffmpeg.filter_graph import FilterGraph, Options
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.filters.scaling import HDR_TO_SDR, Box, color_space_of, scale_to_box
from callsheet.media.transcoding import hls
from callsheet.media.transcoding.color_pipeline import narrowing
from callsheet.media.transcoding.passes import with_pass
from callsheet.media.transcoding.plan import AudioEncoding, TranscodePlan
from callsheet.media.transcoding.renditions import VideoRendition

_SDR = {8: "yuv420p", 10: "yuv420p10le"}


def copy_args(plan: TranscodePlan, output: Path) -> list[str]:
    """Return the words that pass the picture on as it is."""
    picture = ["-map", "0:V:0", "-c:v", "copy"]
    return [*media_input(plan.source.path), *picture, *_sound(plan), *_container(plan), file_url(output)]


def encode_args(plan: TranscodePlan, encoders: Sequence[Encoder], outputs: Sequence[Path], threads: int) -> list[str]:
    """Return the words that encode every picture; in the second pass where there are two."""
    words, streams = _decoding(plan, encoders)
    for number, (stream, encoder, output) in enumerate(zip(streams, encoders, outputs, strict=True)):
        words += ["-map", stream, *_picture(plan, encoder, number, threads, 2)]
        words += [*_sound(plan), *_container(plan), file_url(output)]
    return words


def first_pass_args(plan: TranscodePlan, encoders: Sequence[Encoder], threads: int) -> list[str]:
    """Return the words of the first of two passes."""
    words, streams = _decoding(plan, encoders)
    # The number of a stream may be part of its log's name, so both passes need the same streams in the same places.
    sound = ["-map", "0:a:0", "-c:a", "copy"] if plan.sound is not None and plan.format != "hls" else []
    for number, (stream, encoder) in enumerate(zip(streams, encoders, strict=True)):
        words += ["-map", stream, *_picture(plan, encoder, number, threads, 1), *sound, "-f", "null", "-"]
    return words


def hls_args(plan: TranscodePlan, encoders: Sequence[Encoder], threads: int) -> list[str]:
    """Return the words that write the playlists and segments of HLS into the folder that FFmpeg runs in."""
    words, streams = _decoding(plan, encoders)
    length = plan.segment or 4
    for number, (stream, picture, encoder) in enumerate(zip(streams, plan.renditions, encoders, strict=True)):
        words += ["-map", stream, *_picture(plan, encoder, number, threads, 2)]
        words += ["-tag:v", "hvc1"] if encoder.codec == "h265" else []
        words += hls.hls_args(picture.name, length)
    return words if plan.sound is None else [*words, *_sound(plan), *hls.hls_args(hls.SOUND, length)]


def _decoding(plan: TranscodePlan, encoders: Sequence[Encoder]) -> tuple[list[str], list[str]]:
    """Return the words of input and filters, with what each encoder is to take."""
    graph = FilterGraph()
    stream = "0:V:0"
    if plan.tones.maps_to_sdr and plan.fit is None:
        stream = graph.chain(
            stream, *_smaller(plan), *HDR_TO_SDR[:-1], ("format", {"pix_fmts": _SDR[plan.tones.depth]})
        )
    if plan.tones.narrows:
        stream = graph.chain(stream, narrowing(plan.source), ("format", {"pix_fmts": _SDR[plan.tones.depth]}))
    if plan.rate is not None:
        stream = graph.add("fps", stream, fps=plan.rate)
    copies = graph.split("split", stream, len(encoders)) if len(encoders) > 1 else [stream]
    ends = [
        graph.chain(_shaped(graph, copy, plan, picture), *encoder.last_filters)
        for copy, picture, encoder in zip(copies, plan.renditions, encoders, strict=True)
    ]
    devices = dict.fromkeys(tuple(encoder.device_args) for encoder in encoders)
    words = [*chain.from_iterable(devices), *media_input(plan.source.path), "-filter_complex", str(graph)]
    return words, [f"[{end}]" for end in ends]


def _picture(plan: TranscodePlan, encoder: Encoder, number: int, threads: int, turn: int) -> list[str]:
    words = encoder.args(rate=plan.rate, threads=threads, segment=plan.segment)
    if plan.passes == 2:
        words = with_pass(words, encoder.name, turn, f"pass{number}")
    return [*words, "-fps_mode", "cfr" if plan.rate else "vfr"]


def _smaller(plan: TranscodePlan) -> list[tuple[str, Options]]:
    """Mapping takes long for each pixel, so none is mapped only to be thrown away."""
    found, largest = plan.source.probe, plan.renditions[0]
    if largest.width * largest.height >= (found.width or 0) * (found.height or 0):
        return []
    return [("scale", {"w": largest.width, "h": largest.height}), ("setsar", {"sar": 1})]


def _shaped(graph: FilterGraph, stream: str, plan: TranscodePlan, picture: VideoRendition) -> str:
    if plan.fit is not None:
        box = Box(picture.width, picture.height, plan.fit, background=plan.background)
        return graph.add("setsar", scale_to_box(graph, stream, plan.source, box), sar=1)
    colours = color_space_of(plan.source)
    if plan.source.hdr and not plan.tones.maps_to_sdr:
        colours = {**colours, "out_color_matrix": "bt2020"}
    scaled = graph.add("scale", stream, w=picture.width, h=picture.height, **colours)
    return graph.add("setsar", scaled, sar=1)


def _sound(plan: TranscodePlan) -> list[str]:
    if plan.sound is None:
        return []
    if not isinstance(plan.sound, AudioEncoding):
        return ["-map", "0:a:0", "-c:a", "copy"]
    words = codecs.audio_args(plan.sound.codec, plan.sound.bitrate, sample_rate=plan.sound.sample_rate)
    # Sound that begins late is filled up in front: not every container keeps that it does.
    filters = f"aresample={plan.sound.sample_rate}:async=1:first_pts=0,aformat=channel_layouts={plan.sound.channels}"
    return ["-map", "0:a:0", "-af", filters, *words]


def _container(plan: TranscodePlan) -> list[str]:
    assert plan.format != "hls"  # noqa: S101 - it is written as segments
    return codecs.container_args(plan.format, plan.renditions[0].settings.codec)
