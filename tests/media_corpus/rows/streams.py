"""Files with streams besides the film."""

from ..clips import BEEP, X264
from ..film_recipes import cover_first, film, two_tracks, with_files, with_streams
from ..table import FILTERED, Row

_HUM = "-f lavfi -i sine=frequency=200:duration=2:sample_rate=48000"
_BLUE = "-f lavfi -i color=blue:s=64x36:r=25:d=2"
_COVER = "-f lavfi -i color=blue:s=96x54:d=0.04"
_SRT = "1\n00:00:00,100 --> 00:00:01,000\nHello\n"
_CHAPTERS = """;FFMETADATA1
[CHAPTER]
TIMEBASE=1/1000
START=0
END=1000
title=One
[CHAPTER]
TIMEBASE=1/1000
START=1000
END=2000
title=Two
"""
_FILM = "-map 0:v -map 0:a"

ROWS = (
    Row("commentary-first.mkv", two_tracks),
    Row("commentary-first.mp4", two_tracks, skip=FILTERED),
    Row(
        "commentary-mark.mkv",
        with_streams(
            _HUM,
            maps="-map 0:v -map 1:a -map 0:a -disposition:a:0 comment -disposition:a:1 0",
            options="-c:v copy -c:a aac",
        ),
        skip=FILTERED,
    ),
    Row(
        "descriptive-default.mkv",
        with_streams(
            _HUM,
            maps="-map 0:v -map 1:a -map 0:a -disposition:a:0 visual_impaired -disposition:a:1 default",
            options="-c:v copy -c:a aac",
        ),
        skip=FILTERED,
    ),
    Row(
        "second-video-default.mkv",
        with_streams(
            _BLUE,
            maps="-map 1:v -map 0:v -map 0:a -disposition:v:0 0 -disposition:v:1 default",
            options=f"-c:v {X264} -c:a copy",
        ),
        skip=FILTERED,
    ),
    Row("audio-first.mp4", with_streams(maps="-map 0:a -map 0:v"), skip=FILTERED),
    Row("audio-first.ts", with_streams(maps="-map 0:a -map 0:v"), skip=FILTERED),
    Row("cover-first.mp4", cover_first),
    Row(
        "cover-last.mkv",
        with_streams(
            _COVER, maps=f"{_FILM} -map 1:v -disposition:v:1 attached_pic", options="-c:v:0 copy -c:v:1 mjpeg -c:a copy"
        ),
        skip=FILTERED,
    ),
    Row("subtitles.mkv", with_files({"text.srt": _SRT}, f"{_FILM} -map 1", "-c copy"), skip=FILTERED),
    Row("subtitles.mp4", with_files({"text.srt": _SRT}, f"{_FILM} -map 1", "-c copy -c:s mov_text"), skip=FILTERED),
    Row("chapters.mp4", with_files({"chapters.txt": _CHAPTERS}, f"{_FILM} -map_metadata 1"), skip=FILTERED),
    Row("chapters.mkv", with_files({"chapters.txt": _CHAPTERS}, f"{_FILM} -map_metadata 1"), skip=FILTERED),
    Row("timecode.mov", film(extra="-timecode 01:00:00:00"), skip=FILTERED),
    Row(
        "attachment.mkv",
        with_streams(maps=f"{_FILM} -attach whole.mkv -metadata:s:t mimetype=text/plain"),
        skip=FILTERED,
    ),
    Row(
        "long-audio.mp4",
        with_streams(
            "-f lavfi -i aevalsrc=exprs=0:s=48000:d=1",
            maps="-map 0:v -filter_complex [0:a][1:a]concat=v=0:a=1[a] -map [a]",
            options="-c:v copy -c:a aac",
        ),
        seconds=3.0,
        frames=None,
        skip=frozenset({"concat", "caption", "finish", "mux"}),
    ),
    Row(
        "short-audio.mp4",
        with_streams(maps="-map 0:v -map 0:a -filter:a atrim=0:1", options="-c:v copy -c:a aac"),
        beeps=(0.5,),
        skip=frozenset({"extract-audio", "caption"}),
    ),
    Row("silent-audio.mkv", film(X264, "aac", sound=("0", "0")), beeps=(), skip=FILTERED),
    Row("5.1.mkv", film(X264, "ac3", sound=(BEEP, BEEP, BEEP, "0", BEEP, BEEP)), level=None, skip=FILTERED),
    Row("no-layout.mkv", film(X264, "pcm_s16le", sound=(BEEP,) * 10), level=None, skip=FILTERED | {"concat", "split"}),
)
