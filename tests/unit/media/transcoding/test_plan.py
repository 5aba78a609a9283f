"""Transcode plans and their FFmpeg arguments."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from callsheet.domain.artifacts import Probe
from callsheet.domain.errors import BadParams
from callsheet.media.encoding.encoders import Encoder
from callsheet.media.ffmpeg.inputs import media_input
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.probing.streams import Stream
from callsheet.media.transcoding import arguments
from callsheet.media.transcoding.budget import fit_to_target_size, lower_bitrate
from callsheet.media.transcoding.plan import AudioEncoding, TranscodePlan, plan_transcode
from callsheet.media.transcoding.spec import TranscodeSpec

SOURCE = Path("/in/film.mp4")
KEYS = "expr:isnan(prev_forced_t)+gt(floor((t+0.001)/4),floor((prev_forced_t+0.001)/4))"


def footage(*, depth: int = 8, hdr: str | None = None, hidden: int = 0, **facts) -> MediaInfo:
    pixels = "yuv420p" if depth == 8 else "yuv420p10le"
    probe = Probe(
        **{
            "format": "mov,mp4,m4a,3gp,3g2,mj2",
            "duration": 10.0,
            "width": 1920,
            "height": 1080,
            "fps": 30.0,
            "frames": 300,
            "video_codec": "h264",
            "pixel_format": pixels,
            "audio_codec": "aac",
            "audio_channels": 2,
            "sample_rate": 48000,
            **facts,
        }
    )
    streams = (
        Stream(index=0, type="video", bit_depth=depth, hdr=hdr),
        Stream(index=1, type="audio", codec=probe.audio_codec),
    )
    media = MediaInfo(SOURCE, probe, hdr=hdr is not None, video_seconds=probe.duration, hidden_frames=hidden)
    return replace(media, video_index=0, audio_index=1, streams=streams)


def plan(source: MediaInfo, **params) -> TranscodePlan:
    spec = TranscodeSpec.model_validate({"src": "film.mp4", **params}).resolved()
    return fit_to_target_size(plan_transcode(spec, source), fixed_audio=spec.audio_bitrate is not None)


def sizes(made: TranscodePlan) -> list[tuple[str, int, int]]:
    return [(rendition.name, rendition.width, rendition.height) for rendition in made.renditions]


def test_renditions_are_made_from_one_decode():
    made = plan(footage(), renditions=["480p", {"resolution": "720p", "bitrate": "2M"}], preset="fast")
    selected = [Encoder("libx264", rendition.settings) for rendition in made.renditions]

    args = arguments.encode_args(made, selected, [Path("/out/a.mp4"), Path("/out/b.mp4")], 2)

    video = [*["-fps_mode", "vfr", "-map", "0:1", "-c:a", "copy", "-map_metadata", "-1", "-map_chapters", "-1"]]
    ending = [*video, "-sn", "-dn", "-f", "mp4", "-movflags", "+faststart"]
    keys = ["-preset", "fast", "-enc_time_base", "1/90000", "-g", "960", "-force_key_frames", KEYS, "-threads", "2"]
    tags = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]
    flags = "out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_int"
    assert args == [
        *media_input(SOURCE),
        "-filter_complex",
        f"[0:0]split=2[n0][n1];[n0]scale=w=1280:h=720:{flags}[n2];[n2]setsar=sar=1[n3];[n3]format=pix_fmts=yuv420p[n4];"
        f"[n1]scale=w=854:h=480:{flags}[n5];[n5]setsar=sar=1[n6];[n6]format=pix_fmts=yuv420p[n7]",
        *["-map", "[n4]", "-c:v", "libx264", "-b:v", "2000000", "-maxrate", "3000000", "-bufsize", "4000000"],
        *[*keys, "-pix_fmt", "yuv420p", *tags, *ending, "file:/out/a.mp4"],
        *["-map", "[n7]", "-c:v", "libx264", "-crf", "23"],
        *[*keys, "-pix_fmt", "yuv420p", *tags, *ending, "file:/out/b.mp4"],
    ]


def test_renditions_larger_than_the_source_are_reduced_to_its_size_once():
    small = footage(width=640, height=360)

    made = plan(small, renditions=["1080p", "720p", "240p"])
    kept = plan(small, renditions=["1080p", "360p"])
    grown = plan(small, renditions=["1080p", "360p"], upscale=True)

    assert sizes(made) == [("360p", 640, 360), ("240p", 426, 240)]
    assert made.notes == (
        "1080p was made at the size of the source, 640x360",
        "720p was skipped: the source is 640x360",
    )
    assert (sizes(kept), kept.notes) == ([("360p", 640, 360)], ("1080p was skipped: the source is 640x360",))
    assert sizes(grown) == [("1080p", 1920, 1080), ("360p", 640, 360)]


def test_renditions_use_the_common_bitrate_limit_unless_they_have_their_own():
    rungs = [{"height": 720, "quality": "high"}, {"height": 480, "max_bitrate": "1M"}, {"height": 360, "bitrate": "9M"}]

    made = plan(footage(), renditions=rungs, max_bitrate="3M", quality="low")

    rates = [(p.settings.quality, p.settings.bitrate, p.settings.max_bitrate) for p in made.renditions]
    assert rates == [("high", None, 3_000_000), ("low", None, 1_000_000), (None, 9_000_000, None)]


def test_renditions_of_the_same_size_get_unique_names():
    made = plan(footage(), renditions=[{"height": 720}, {"width": 1280, "bitrate": "1M"}])

    assert [name for name, _, _ in sizes(made)] == ["720p", "720p-2"]


@pytest.mark.parametrize(
    ("source", "params", "copies"),
    [
        ({}, {}, True),
        ({}, {"format": "mov"}, True),
        ({}, {"quality": "high"}, False),
        ({}, {"max_bitrate": "9M"}, False),
        ({}, {"target_size": "8 MB"}, False),
        ({}, {"format": "hls"}, False),
        ({}, {"renditions": ["1080p"]}, False),
        ({}, {"max_fps": 24}, False),
        ({}, {"max_fps": 60}, True),
        ({}, {"fps": 30}, True),
        ({}, {"depth": 10}, False),
        ({"rotation": 90}, {}, True),
        ({"rotation": 90}, {"format": "mkv"}, False),
        ({"pixel_format": "yuv444p"}, {}, False),
        ({"hidden": 100}, {}, True),
        ({"hidden": 100}, {"format": "mkv"}, False),
        ({"video_codec": "hevc", "depth": 10}, {"video_codec": "h265"}, True),
        ({"video_codec": "hevc", "depth": 10, "hdr": "pq"}, {"video_codec": "h265"}, True),
        ({"video_codec": "hevc", "depth": 10, "hdr": "pq"}, {"video_codec": "h265", "hdr": "tone_map"}, False),
        ({"depth": 10}, {}, False),
    ],
)
def test_the_video_is_copied_only_if_it_does_not_change(source, params, copies):
    assert plan(footage(**source), **params).copies_video is copies


@pytest.mark.parametrize(
    ("source", "params", "depth", "transfer", "says"),
    [
        ({"depth": 10}, {"video_codec": "h265"}, 10, "bt709", None),
        ({"depth": 10}, {}, 8, "bt709", "few players support 10-bit h264"),
        ({"depth": 10}, {"depth": 10}, 10, "bt709", None),
        ({"depth": 10}, {"video_codec": "av1", "depth": 8}, 8, "bt709", None),
        ({"depth": 10, "hdr": "pq"}, {"video_codec": "av1"}, 10, "smpte2084", None),
        ({"depth": 10, "hdr": "hlg"}, {"format": "webm", "video_codec": "vp9"}, 10, "arib-std-b67", None),
        ({"depth": 10, "hdr": "pq"}, {}, 8, "bt709", "players do not support HDR in h264"),
        ({"depth": 10, "hdr": "pq"}, {"video_codec": "h265", "depth": 8}, 8, "bt709", "HDR needs 10 bits"),
        ({"depth": 10, "hdr": "pq"}, {"video_codec": "h265", "hdr": "tone_map"}, 8, "bt709", None),
        (
            {"depth": 10, "hdr": "pq"},
            {"video_codec": "h265", "fit": "cover", "width": 64, "height": 64},
            *(8, "bt709", "fit supports SDR only"),
        ),
    ],
)
def test_color_is_kept_if_the_output_supports_it(source, params, depth, transfer, says):
    made = plan(footage(**source), preset="fast", **params)

    assert (made.color.depth, made.color.color_space.transfer) == (depth, transfer)
    assert (says or "") in " ".join(made.notes) and bool(made.notes) == bool(says)


def test_hdr_is_tone_mapped_at_the_output_size():
    made = plan(footage(depth=10, hdr="pq"), height=90)
    selected = [Encoder("libx264", made.renditions[0].settings)]

    graph = arguments.encode_args(made, selected, [Path("/out/a.mp4")], 2)[len(media_input(SOURCE)) + 1]

    assert graph.startswith("[0:0]scale=w=160:h=90[n0];[n0]setsar=sar=1[n1];[n1]zscale=pin=2020:min=2020_ncl:t=linear")


@pytest.mark.parametrize(
    ("channels", "asked", "made"),
    [(6, None, "stereo"), (6, 6, "5.1"), (6, 1, "mono"), (2, 6, "stereo"), (1, None, "mono"), (8, 6, "5.1")],
)
def test_audio_has_no_more_channels_than_the_source(channels, asked, made):
    params = {"audio_channels": asked} if asked else {}

    audio = plan(footage(audio_channels=channels, audio_codec="ac3"), **params).audio

    assert isinstance(audio, AudioEncoding) and audio.channels == made


def test_hidden_audio_of_a_trimmed_file_is_not_copied_when_the_video_is_encoded():
    assert plan(footage(hidden=100), height=360).audio != "copy"
    assert plan(footage(frames=300), height=360).audio == "copy"


def test_a_target_size_is_shared_between_video_and_audio():
    made = plan(footage(), target_size="2 MB")

    video_bitrate, audio = made.renditions[0].settings.bitrate, made.audio
    assert isinstance(audio, AudioEncoding) and audio.bitrate == 160_000
    assert made.passes == 2 and made.renditions[0].settings.passes == 2
    assert (video_bitrate + audio.bitrate) * 10 / 8 == pytest.approx(2_000_000 * 0.98, rel=0.01)


def test_a_small_target_reduces_the_audio_bitrate_unless_it_is_set():
    reduced = plan(footage(), target_size="800 kB", height=360).audio
    fixed = plan(footage(), target_size="800 kB", height=360, audio_bitrate="128k").audio

    assert isinstance(reduced, AudioEncoding) and reduced.bitrate < 96_000
    assert isinstance(fixed, AudioEncoding) and fixed.bitrate == 128_000


def test_the_bitrate_is_limited_by_that_of_the_source():
    whole = plan(footage(bit_rate=5_000_000), target_size="90 MB")
    quarter = plan(footage(bit_rate=5_000_000), target_size="90 MB", height=540)

    assert whole.renditions[0].settings.bitrate == 10_000_000
    assert quarter.renditions[0].settings.bitrate == 2_500_000


def test_a_too_small_target_is_rejected_with_the_needed_size():
    with pytest.raises(BadParams) as rejected:
        plan(footage(), target_size="100 kB")

    problem = rejected.value.problems[0]
    assert problem.path == "targetSize"
    assert "0.1 MB is too small for 10 s of 1920x1080: at least about" in problem.message
    assert "smaller resolution" in problem.message


def test_a_too_large_output_lowers_the_bitrate_by_more_than_the_excess():
    made = plan(footage(), target_size="2 MB")

    again = lower_bitrate(made, 2_200_000)

    assert again.renditions[0].settings.bitrate < made.renditions[0].settings.bitrate * 2_000_000 / 2_200_000


def test_x265_gets_its_pass_in_its_own_parameters():
    assert arguments.pass_args(["-c:v", "libx265", "-x265-params", "a=1", "-g", "9"], "libx265", 1, "log") == [
        *["-c:v", "libx265", "-x265-params", "a=1:pass=1:stats=log", "-g", "9"]
    ]
    assert arguments.pass_args(["-c:v", "libx264"], "libx264", 2, "log")[2:] == ["-pass", "2", "-passlogfile", "log"]


def test_both_passes_have_the_same_streams():
    made = plan(footage(), bitrate="1M", passes=2)
    selected = [Encoder("libx264", made.renditions[0].settings)]

    first = arguments.first_pass_args(made, selected, 2)
    second = arguments.encode_args(made, selected, [Path("/out/a.mp4")], 2)

    maps = [[args[n + 1] for n, arg in enumerate(args) if arg == "-map"] for args in (first, second)]
    assert maps[0] == maps[1] == ["[n2]", "0:1"]
    assert first[-3:] == ["-f", "null", "-"]


@pytest.mark.parametrize(("asked", "rate"), [({"max_fps": 60}, Fraction(60)), ({"max_fps": 120}, None), ({}, None)])
def test_only_a_higher_frame_rate_is_reduced(asked, rate):
    assert plan(footage(fps=120.0), preset="fast", **asked).frame_rate == rate
