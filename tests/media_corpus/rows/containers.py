"""Films in usual containers and codecs."""

from ..clips import X264
from ..film_recipes import film, held_at_end, picture_only
from ..table import COPIES, FILTERED, Row, seen

_MPEG2 = "mpeg2video -b:v 1M"
_VP8, _VP9 = "libvpx -deadline realtime -g 25", "libvpx-vp9 -deadline realtime -g 25"
_X265 = "libx265 -preset ultrafast -x265-params log-level=error"
_AV1 = "libaom-av1 -cpu-used 8 -usage realtime -g 25"

ROWS = (
    Row("h264-aac.mp4", film(), also=frozenset({"upscale", "interpolate"}), tags={}),
    Row("h264-pcm.mov", film(X264, "pcm_s16le"), skip=FILTERED),
    Row("hevc-ac3.mkv", film(_X265, "ac3"), skip=FILTERED),
    Row("hevc-aac.mp4", film(_X265, "aac", extra="-tag:v hvc1"), skip=FILTERED),
    Row("hevc-hev1.mp4", film(_X265, "aac", extra="-tag:v hev1"), skip=FILTERED),
    Row("mpeg4-mp3.avi", film("mpeg4", "libmp3lame"), skip=FILTERED),
    Row("mjpeg-pcm.avi", film("mjpeg -strict unofficial", "pcm_s16le"), skip=FILTERED),
    Row("vp8-vorbis.webm", film(_VP8, "libvorbis"), skip=FILTERED),
    Row("vp9-opus.webm", film(_VP9, "libopus"), skip=FILTERED),
    Row("av1-opus.webm", film(_AV1, "libopus"), skip=FILTERED),
    Row("av1-aac.mp4", film(_AV1, "aac"), skip=FILTERED),
    Row("vp9-opus.mp4", film(_VP9, "libopus"), skip=FILTERED),
    Row("ffv1-flac.mkv", film("ffv1", "flac"), skip=FILTERED),
    Row("h264-aac.ts", film(), skip=FILTERED),
    Row("hevc-eac3.ts", film(_X265, "eac3"), skip=FILTERED),
    Row("mpeg2-mp2.ts", film(_MPEG2, "mp2"), skip=FILTERED),
    Row("mpeg2-mp2.mpg", film(_MPEG2, "mp2"), skip=FILTERED),
    Row("mpeg2-ac3.vob", film(_MPEG2, "ac3"), skip=FILTERED),
    Row("mpeg1-mp2.mpg", film("mpeg1video -b:v 1M", "mp2"), skip=FILTERED),
    Row("h264-ac3.m2ts", film(X264, "ac3"), skip=FILTERED),
    Row("h264-aac.flv", film(X264, "aac", hertz=44_100), skip=FILTERED),
    Row("flv1-mp3.flv", film("flv", "libmp3lame", hertz=44_100), skip=FILTERED),
    Row("theora-vorbis.ogv", film("libtheora -g 25", "libvorbis"), skip=FILTERED),
    Row("wmv2-wmav2.wmv", film("wmv2", "wmav2"), skip=FILTERED),
    Row("msmpeg4-wmav2.asf", film("msmpeg4", "wmav2"), skip=FILTERED),
    Row("mpeg2-pcm.mxf", film(f"{_MPEG2} -g 12", "pcm_s16le"), skip=FILTERED | COPIES),
    Row("xvid-mp3.avi", film("libxvid", "libmp3lame"), skip=FILTERED),
    Row("packed-b-frames.avi", film("mpeg4 -bf 2", "libmp3lame"), skip=FILTERED),
    Row("huffyuv-pcm.avi", film("huffyuv", "pcm_s16le", pixels="yuv422p"), skip=FILTERED | COPIES),
    Row("prores-pcm.mov", film("prores", "pcm_s16le", pixels="yuv422p10le"), skip=FILTERED | COPIES),
    Row(
        "dnxhr-pcm.mov",
        film("dnxhd -profile:v dnxhr_lb", "pcm_s16le", size="256x144", pixels="yuv422p"),
        size=(256, 144),
        skip=FILTERED | COPIES,
    ),
    Row("dts.mkv", film(X264, "dca -strict -2"), skip=FILTERED),
    Row("truehd.mkv", film(X264, "truehd -strict -2"), skip=FILTERED),
    Row("alac.mp4", film(X264, "alac"), skip=FILTERED),
    Row("mp3.mp4", film(X264, "libmp3lame"), skip=FILTERED),
    Row("opus.mp4", film(X264, "libopus"), skip=FILTERED),
    Row(
        "h263-amr.3gp",
        film(
            "h263",
            "libopencore_amrnb -ar 8000 -ac 1 -b:a 12.2k",
            size="176x144",
            sound=("0.5*sin(2*PI*1000*t)*between(mod(t,1),0.5,0.7)",),
            hertz=8000,
        ),
        size=(176, 144),
        level=None,
        skip=FILTERED,
    ),
    Row("latm.ts", film(X264, "aac", extra="-mpegts_flags latm"), skip=FILTERED),
    seen("no-audio.mp4", film(X264, None), skip=FILTERED),
    seen("vp9.ivf", film(_VP9, None), skip=FILTERED),
    seen("raw.y4m", film("wrapped_avframe", None), skip=FILTERED),
    seen("animated.gif", picture_only("gif", pixels="bgr8", rate="25"), skip=frozenset({"caption"})),
    seen("held.gif", held_at_end, frames=None, slack=0.15, also=frozenset({"hls"}), skip=frozenset({"caption"})),
    seen(
        "one-more-frame.gif",
        picture_only("gif", pixels="bgr8", seconds=2.04),
        seconds=2.04,
        frames=None,
        skip=frozenset({"caption"}),
    ),
    seen("animated.apng", picture_only("apng", pixels="rgb24", options="-plays 0"), skip=frozenset({"caption"})),
    seen(
        "animated.webp",
        picture_only("libwebp_anim", pixels="bgra", options="-lossless 1 -loop 0"),
        slack=0.12,
        skip=frozenset({"caption"}),
    ),
    seen(
        "animated.avif",
        picture_only("libaom-av1", pixels="yuv444p", options="-cpu-used 8 -usage realtime -f avif"),
        also=frozenset({"overlay"}),
        skip=frozenset({"caption"}),
    ),
    Row("ntsc.mp4", film(rate="30000/1001"), frames=60, skip=FILTERED),
    Row("film-rate.mkv", film(rate="24000/1001"), frames=48, skip=FILTERED),
    Row("b-frames.mp4", film("libx264 -preset veryfast -bf 3 -g 25"), skip=FILTERED),
    Row("open-gop.mkv", film("libx264 -preset veryfast -bf 3 -g 12 -x264-params open-gop=1"), skip=FILTERED),
    Row(
        "tagged.mp4",
        film(extra="-metadata title=Film -metadata artist=Someone"),
        tags={"title": "Film", "artist": "Someone"},
        skip=FILTERED,
    ),
    Row("tagged.mkv", film(extra="-metadata title=Film"), tags={"title": "Film"}, skip=FILTERED),
)
