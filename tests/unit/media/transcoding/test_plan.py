"""What has to be done to a source, and the words for it."""

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
from callsheet.media.transcoding.budget import fit_to_target_size, lowered
from callsheet.media.transcoding.passes import with_pass
from callsheet.media.transcoding.plan import AudioEncoding, TranscodePlan, plan_transcode
from callsheet.media.transcoding.spec import TranscodeSpec

SOURCE = Path("/in/film.mp4")


def footage(*, depth: int = 8, hdr: str | None = None, **facts) -> MediaInfo:
    pixels = "yuv420p" if depth == 8 else "yuv420p10le"
    probe = Probe(
        **{
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
    stream = Stream(index=0, type="video", bit_depth=depth, hdr=hdr)
    return MediaInfo(SOURCE, probe, hdr=hdr is not None, video_seconds=probe.duration, video_index=0, streams=(stream,))


def plan(source: MediaInfo, **params) -> TranscodePlan:
    order = TranscodeSpec.model_validate({"src": "film.mp4", **params}).settled()
    return fit_to_target_size(plan_transcode(order, source), fixed_sound=order.audio_bitrate is not None)


def sizes(made: TranscodePlan) -> list[tuple[str, int, int]]:
    return [(picture.name, picture.width, picture.height) for picture in made.renditions]


def test_renditions_are_made_from_one_decode():
    made = plan(footage(), renditions=["480p", {"resolution": "720p", "bitrate": "2M"}], preset="fast")
    chosen = [Encoder("libx264", picture.settings) for picture in made.renditions]

    words = arguments.encode_args(made, chosen, [Path("/out/a.mp4"), Path("/out/b.mp4")], 2)

    picture = [*["-fps_mode", "vfr", "-map", "0:a:0", "-c:a", "copy", "-map_metadata", "-1", "-map_chapters", "-1"]]
    ending = [*picture, "-sn", "-dn", "-f", "mp4", "-movflags", "+faststart"]
    keys = ["-preset", "fast", "-g", "960", "-force_key_frames", "expr:gte(t,n_forced*4)", "-threads", "2"]
    tags = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]
    flags = "out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_int"
    assert words == [
        *media_input(SOURCE),
        "-filter_complex",
        f"[0:V:0]split=2[n0][n1];[n0]scale=w=1280:h=720:{flags}[n2];[n2]setsar=sar=1[n3];[n3]format=pix_fmts=yuv420p[n4];"
        f"[n1]scale=w=854:h=480:{flags}[n5];[n5]setsar=sar=1[n6];[n6]format=pix_fmts=yuv420p[n7]",
        *["-map", "[n4]", "-c:v", "libx264", "-b:v", "2000000", "-maxrate", "3000000", "-bufsize", "4000000"],
        *[*keys, "-pix_fmt", "yuv420p", *tags, *ending, "file:/out/a.mp4"],
        *["-map", "[n7]", "-c:v", "libx264", "-crf", "23"],
        *[*keys, "-pix_fmt", "yuv420p", *tags, *ending, "file:/out/b.mp4"],
    ]


def test_renditions_beyond_the_source_come_down_to_it_once():
    small = footage(width=640, height=360)

    made = plan(small, renditions=["1080p", "720p", "240p"])
    kept = plan(small, renditions=["1080p", "360p"])
    grown = plan(small, renditions=["1080p", "360p"], upscale=True)

    assert sizes(made) == [("360p", 640, 360), ("240p", 426, 240)]
    assert made.notes == (
        "1080p was made at the size of the source, 640x360",
        "720p was left out: the source is 640x360",
    )
    assert (sizes(kept), kept.notes) == ([("360p", 640, 360)], ("1080p was left out: the source is 640x360",))
    assert sizes(grown) == [("1080p", 1920, 1080), ("360p", 640, 360)]


def test_renditions_are_limited_by_the_limit_of_all_unless_they_have_their_own():
    rungs = [{"height": 720, "quality": "high"}, {"height": 480, "max_bitrate": "1M"}, {"height": 360, "bitrate": "9M"}]

    made = plan(footage(), renditions=rungs, max_bitrate="3M", quality="low")

    wishes = [(p.settings.quality, p.settings.bitrate, p.settings.max_bitrate) for p in made.renditions]
    assert wishes == [("high", None, 3_000_000), ("low", None, 1_000_000), (None, 9_000_000, None)]


def test_renditions_of_one_name_get_names_of_their_own():
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
        ({"frames": 400}, {}, True),
        ({"frames": 400}, {"format": "mkv"}, False),
        ({"video_codec": "hevc", "depth": 10}, {"video_codec": "h265"}, True),
        ({"video_codec": "hevc", "depth": 10, "hdr": "pq"}, {"video_codec": "h265"}, True),
        ({"video_codec": "hevc", "depth": 10, "hdr": "pq"}, {"video_codec": "h265", "hdr": "tone_map"}, False),
        ({"depth": 10}, {}, False),
    ],
)
def test_a_picture_is_passed_on_only_where_nothing_about_it_changes(source, params, copies):
    assert plan(footage(**source), **params).copies_picture is copies


@pytest.mark.parametrize(
    ("source", "params", "depth", "transfer", "says"),
    [
        ({"depth": 10}, {"video_codec": "h265"}, 10, "bt709", None),
        ({"depth": 10}, {}, 8, "bt709", "few players show 10-bit h264"),
        ({"depth": 10}, {"depth": 10}, 10, "bt709", None),
        ({"depth": 10}, {"video_codec": "av1", "depth": 8}, 8, "bt709", None),
        ({"depth": 10, "hdr": "pq"}, {"video_codec": "av1"}, 10, "smpte2084", None),
        ({"depth": 10, "hdr": "hlg"}, {"format": "webm", "video_codec": "vp9"}, 10, "arib-std-b67", None),
        ({"depth": 10, "hdr": "pq"}, {}, 8, "bt709", "players do not show it in h264"),
        ({"depth": 10, "hdr": "pq"}, {"video_codec": "h265", "depth": 8}, 8, "bt709", "8 bits do not hold it"),
        ({"depth": 10, "hdr": "pq"}, {"video_codec": "h265", "hdr": "tone_map"}, 8, "bt709", None),
        (
            {"depth": 10, "hdr": "pq"},
            {"video_codec": "h265", "fit": "cover", "width": 64, "height": 64},
            *(8, "bt709", "another shape is made in SDR"),
        ),
    ],
)
def test_colours_are_kept_where_they_can_be(source, params, depth, transfer, says):
    made = plan(footage(**source), preset="fast", **params)

    assert (made.tones.depth, made.tones.colours.transfer) == (depth, transfer)
    assert (says or "") in " ".join(made.notes) and bool(made.notes) == bool(says)


def test_hdr_is_mapped_at_the_size_it_is_needed_in():
    made = plan(footage(depth=10, hdr="pq"), height=90)
    chosen = [Encoder("libx264", made.renditions[0].settings)]

    graph = arguments.encode_args(made, chosen, [Path("/out/a.mp4")], 2)[len(media_input(SOURCE)) + 1]

    assert graph.startswith("[0:V:0]scale=w=160:h=90[n0];[n0]setsar=sar=1[n1];[n1]zscale=t=linear")


@pytest.mark.parametrize(
    ("channels", "asked", "made"),
    [(6, None, "stereo"), (6, 6, "5.1"), (6, 1, "mono"), (2, 6, "stereo"), (1, None, "mono"), (8, 6, "5.1")],
)
def test_sound_has_no_more_channels_than_it_had(channels, asked, made):
    params = {"audio_channels": asked} if asked else {}

    sound = plan(footage(audio_channels=channels, audio_codec="ac3"), **params).sound

    assert isinstance(sound, AudioEncoding) and sound.channels == made


def test_sound_that_a_trimmed_file_hides_is_not_passed_on_with_other_pictures():
    assert plan(footage(frames=400), height=360).sound != "copy"
    assert plan(footage(frames=300), height=360).sound == "copy"


def test_a_target_size_is_shared_between_picture_and_sound():
    made = plan(footage(), target_size="2 MB")

    picture, sound = made.renditions[0].settings.bitrate, made.sound
    assert isinstance(sound, AudioEncoding) and sound.bitrate == 160_000
    assert made.passes == 2 and made.renditions[0].settings.passes == 2
    assert (picture + sound.bitrate) * 10 / 8 == pytest.approx(2_000_000 * 0.98, rel=0.01)


def test_a_small_target_takes_from_the_sound_too_unless_its_rate_was_asked_for():
    modest = plan(footage(), target_size="800 kB", height=360).sound
    asked = plan(footage(), target_size="800 kB", height=360, audio_bitrate="128k").sound

    assert isinstance(modest, AudioEncoding) and modest.bitrate < 96_000
    assert isinstance(asked, AudioEncoding) and asked.bitrate == 128_000


def test_a_target_is_not_filled_up_beyond_what_the_source_has():
    whole = plan(footage(bit_rate=5_000_000), target_size="90 MB")
    quarter = plan(footage(bit_rate=5_000_000), target_size="90 MB", height=540)

    assert whole.renditions[0].settings.bitrate == 10_000_000
    assert quarter.renditions[0].settings.bitrate == 2_500_000


def test_a_target_that_is_too_small_says_what_would_do():
    with pytest.raises(BadParams) as refused:
        plan(footage(), target_size="100 kB")

    problem = refused.value.problems[0]
    assert problem.path == "targetSize"
    assert "0.1 MB are too few for 10 s of 1920x1080: that takes about" in problem.message
    assert "smaller resolution" in problem.message


def test_an_output_that_was_too_large_lowers_the_bit_rate_by_more_than_it_was_over():
    made = plan(footage(), target_size="2 MB")

    again = lowered(made, 2_200_000)

    assert again.renditions[0].settings.bitrate < made.renditions[0].settings.bitrate * 2_000_000 / 2_200_000


def test_x265_is_told_of_its_passes_in_its_own_words():
    assert with_pass(["-c:v", "libx265", "-x265-params", "a=1", "-g", "9"], "libx265", 1, "log") == [
        *["-c:v", "libx265", "-x265-params", "a=1:pass=1:stats=log", "-g", "9"]
    ]
    assert with_pass(["-c:v", "libx264"], "libx264", 2, "log")[2:] == ["-pass", "2", "-passlogfile", "log"]


def test_both_passes_have_the_same_streams():
    made = plan(footage(), bitrate="1M", passes=2)
    chosen = [Encoder("libx264", made.renditions[0].settings)]

    first = arguments.first_pass_args(made, chosen, 2)
    second = arguments.encode_args(made, chosen, [Path("/out/a.mp4")], 2)

    maps = [[words[n + 1] for n, word in enumerate(words) if word == "-map"] for words in (first, second)]
    assert maps[0] == maps[1] == ["[n2]", "0:a:0"]
    assert first[-3:] == ["-f", "null", "-"]


@pytest.mark.parametrize(("asked", "rate"), [({"max_fps": 60}, Fraction(60)), ({"max_fps": 120}, None), ({}, None)])
def test_only_faster_videos_are_brought_down(asked, rate):
    assert plan(footage(fps=120.0), preset="fast", **asked).rate == rate
