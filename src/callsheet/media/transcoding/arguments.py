"""FFmpeg arguments of a transcode. All outputs come from one decode of the source."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from callsheet.media.encoding import codecs
from callsheet.media.encoding.downmix import filter_text
from callsheet.media.encoding.encoders import Encoder
from callsheet.media.ffmpeg.filter_graph import FilterGraph, Options
from callsheet.media.ffmpeg.inputs import file_url
from callsheet.media.filters.scaling import Box, color_space_of, flatten_alpha, scale_to_box, to_bt709
from callsheet.media.filters.source_frames import (
    audio_stream,
    copy_input,
    hold_last_frame,
    picture_input,
    picture_stream,
    source_frames,
)
from callsheet.media.transcoding import hls
from callsheet.media.transcoding.plan import AudioEncoding, TranscodePlan
from callsheet.media.transcoding.renditions import VideoRendition

_SDR_PIXEL_FORMATS = {8: "yuv420p", 10: "yuv420p10le"}


def copy_args(plan: TranscodePlan, output: Path) -> list[str]:
    """Return the arguments that stream-copy the video and write `output`."""
    video = ["-map", picture_stream(plan.source), "-c:v", "copy"]
    return [*copy_input(plan.source), *video, *_audio_args(plan), *_container_args(plan), file_url(output)]


def encode_args(plan: TranscodePlan, encoders: Sequence[Encoder], outputs: Sequence[Path], threads: int) -> list[str]:
    """Return the arguments that encode every rendition. For a two-pass plan these are those of the second pass."""
    args, streams = _decode_args(plan, encoders)
    for index, (stream, encoder, output) in enumerate(zip(streams, encoders, outputs, strict=True)):
        args += ["-map", stream, *_video_args(plan, encoder, index, threads, pass_number=2)]
        args += [*_audio_args(plan), *_container_args(plan), file_url(output)]
    return args


def first_pass_args(plan: TranscodePlan, encoders: Sequence[Encoder], threads: int) -> list[str]:
    """Return the arguments of the first of two passes, which writes statistics only."""
    args, streams = _decode_args(plan, encoders)
    # The name of a pass log may contain the stream index, so both passes need the same streams at the same indexes.
    has_audio = plan.audio is not None and plan.format != "hls"
    audio = ["-map", audio_stream(plan.source), "-c:a", "copy"] if has_audio else []
    for index, (stream, encoder) in enumerate(zip(streams, encoders, strict=True)):
        args += ["-map", stream, *_video_args(plan, encoder, index, threads, pass_number=1), *audio, "-f", "null", "-"]
    return args


def hls_args(plan: TranscodePlan, encoders: Sequence[Encoder], threads: int) -> list[str]:
    """Return the arguments that write HLS playlists and segments to FFmpeg's working directory."""
    args, streams = _decode_args(plan, encoders)
    segment_seconds = plan.segment_seconds or 4
    for index, (stream, rendition, encoder) in enumerate(zip(streams, plan.renditions, encoders, strict=True)):
        args += ["-map", stream, *_video_args(plan, encoder, index, threads, pass_number=2)]
        args += ["-tag:v", "hvc1"] if encoder.codec == "h265" else []
        args += hls.output_args(rendition.name, segment_seconds)
    if plan.audio is None:
        return args
    return [*args, *_audio_args(plan), *hls.output_args(hls.AUDIO_GROUP, segment_seconds)]


def pass_args(args: Sequence[str], encoder: str, pass_number: int, log: str) -> list[str]:
    """Return encoder arguments extended for one of two passes.

    The first pass measures the complexity of the frames. The second pass distributes the bits by these measurements.
    `log` is the name of the statistics file in FFmpeg's working directory.
    """
    if encoder != "libx265":
        return [*args, "-pass", str(pass_number), "-passlogfile", log]
    # libx265 ignores FFmpeg's -pass options; its own parameters set the pass.
    position = args.index("-x265-params") + 1
    return [*args[:position], f"{args[position]}:pass={pass_number}:stats={log}", *args[position + 1 :]]


def _decode_args(plan: TranscodePlan, encoders: Sequence[Encoder]) -> tuple[list[str], list[str]]:
    """Return the input and filter arguments, and the filter output of each encoder."""
    graph = FilterGraph()
    stream = source_frames(graph, picture_stream(plan.source), plan.source)
    pixel_format: tuple[str, Options] = ("format", {"pix_fmts": _SDR_PIXEL_FORMATS[plan.color.depth]})
    stream = flatten_alpha(graph, stream, plan.source, plan.background)
    if plan.color.converts and plan.fit is None:
        downscaled = graph.chain(stream, *filters) if (filters := _downscale_filters(plan)) else stream
        stream = graph.chain(to_bt709(graph, downscaled, plan.source), pixel_format)
    stream = _timed(graph, stream, plan)
    copies = graph.split("split", stream, len(encoders)) if len(encoders) > 1 else [stream]
    outputs = [
        graph.chain(_scale(graph, copy, plan, rendition), *encoder.last_filters)
        for copy, rendition, encoder in zip(copies, plan.renditions, encoders, strict=True)
    ]
    devices = dict.fromkeys(tuple(encoder.device_args) for encoder in encoders)
    args = [*chain.from_iterable(devices), *picture_input(plan.source), "-filter_complex", str(graph)]
    return args, [f"[{output}]" for output in outputs]


def _timed(graph: FilterGraph, stream: str, plan: TranscodePlan) -> str:
    """Append the filters that set the frame rate, and that show the last frame to the end."""
    if plan.last_frame is not None:
        start, end = plan.last_frame
        stream = hold_last_frame(graph, stream, start=start, end=end, usual=float(1 / plan.source.constant_rate))
    if plan.frame_rate is None:
        return stream
    stream = graph.add("fps", stream, fps=plan.frame_rate, start_time=0 if plan.fills_start else None)
    if plan.last_frame is None or plan.frame_count is None:
        return stream
    held: Options = {"stop_mode": "clone", "stop_duration": plan.last_frame[1] - plan.last_frame[0]}
    return graph.chain(stream, ("tpad", held), ("trim", {"end_frame": plan.frame_count}))


def _video_args(plan: TranscodePlan, encoder: Encoder, index: int, threads: int, *, pass_number: int) -> list[str]:
    args = encoder.args(rate=plan.frame_rate, threads=threads, segment=plan.segment_seconds)
    if plan.passes == 2:
        args = pass_args(args, encoder.name, pass_number, f"pass{index}")
    return [*args, "-fps_mode", "cfr" if plan.frame_rate else "vfr"]


def _downscale_filters(plan: TranscodePlan) -> list[tuple[str, Options]]:
    """Return the filters that scale down before tone mapping, which is slow per pixel."""
    source, largest = plan.source.probe, plan.renditions[0]
    if largest.width * largest.height >= (source.width or 0) * (source.height or 0):
        return []
    return [("scale", {"w": largest.width, "h": largest.height}), ("setsar", {"sar": 1})]


def _scale(graph: FilterGraph, stream: str, plan: TranscodePlan, rendition: VideoRendition) -> str:
    if plan.fit is not None:
        box = Box(rendition.width, rendition.height, plan.fit, background=plan.background)
        return graph.add("setsar", scale_to_box(graph, stream, plan.source, box), sar=1)
    color = color_space_of(plan.source)
    if plan.source.hdr and not plan.color.converts:
        color = {**color, "out_color_matrix": "bt2020"}
    scaled = graph.add("scale", stream, w=rendition.width, h=rendition.height, **color)
    return graph.add("setsar", scaled, sar=1)


def _audio_args(plan: TranscodePlan) -> list[str]:
    if plan.audio is None:
        return []
    if not isinstance(plan.audio, AudioEncoding):
        return ["-map", audio_stream(plan.source), "-c:a", "copy"]
    audio = plan.audio
    # Not every container stores a start offset of the audio, so silence fills the time before the first sample.
    downmix = filter_text(plan.downmix)
    filters = f"aresample={audio.sample_rate}:async=1:first_pts=0,{downmix}aformat=channel_layouts={audio.channels}"
    encoder = codecs.audio_args(audio.codec, audio.bitrate, sample_rate=audio.sample_rate)
    return ["-map", audio_stream(plan.source), "-af", filters, *encoder]


def _container_args(plan: TranscodePlan) -> list[str]:
    assert plan.format != "hls"  # noqa: S101 - HLS is written by hls_args
    return codecs.container_args(plan.format, plan.renditions[0].settings.codec)
