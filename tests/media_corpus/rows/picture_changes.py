from ..clips import X264,TO_BT709
from ..film_recipes import changing, film
from ..table import FILTERED, Row
_SPS="h264_metadata="
def cropped(suffix, first, second, audio="aac", size="96x64", filters="pad=96:80:0:0"):
    """halves: second cropped by SPS"""
def with_bsf(suffix, firstopts, secondopts, bsf2, audio="mp2"):
    def make(clips, path):
        a=clips.film(clips.part(f"0.{suffix}"), X264, audio, seconds=1, **firstopts)
        raw=clips.film(clips.part(f"raw.{suffix}"), X264, audio, seconds=1, **secondopts)
        clips.copy(raw, clips.part(f"1.{suffix}"), "-bsf:v", bsf2)
        (clips.folder/"list.txt").write_text("".join(f"file {n}.{suffix}\nduration 1\n" for n in (0,1)))
        clips.run("-f","concat","-i","list.txt","-c","copy",path)
    return make
_601={"colors":"scale=out_color_matrix=bt601:out_range=tv","tags":"-colorspace smpte170m -color_primaries smpte170m -color_trc smpte170m -color_range tv"}
_PAD={"size":"96x64","filters":"pad=96:80:0:0:color=gray"}
ROWS=(
 Row("crop-no-size.ts", with_bsf("ts", {"size":"96x64"}, _PAD, "h264_metadata=crop_bottom=16"), size=(96,64)),
 Row("crop-no-size.mkv", with_bsf("mkv", {"size":"96x64"}, _PAD, "h264_metadata=crop_bottom=16","aac"), size=(96,64)),
 Row("crop-shift.ts", with_bsf("ts", {"size":"96x64","filters":"pad=96:80:0:0:color=gray"}, {"size":"96x64","filters":"pad=96:80:0:16:color=gray"}, "h264_metadata=crop_top=16"), size=(96,80), corners=()),
 Row("crop-size.ts", with_bsf("ts", {"size":"96x64"}, {"size":"96x64"}, "h264_metadata=crop_bottom=16:crop_right=24"), size=(96,64)),
 Row("matrix.ts", changing("ts", {}, _601, "mp2")),
 Row("matrix-first.ts", changing("ts", _601, {}, "mp2")),
 Row("matrix.mkv", changing("mkv", {}, _601, "aac")),
 Row("sar.mkv", changing("mkv", {"size":"96x64"}, {"size":"66x64","filters":"setsar=16/11"}, "aac"), size=(96,64)),
 Row("sar-h264.ts", changing("ts", {"size":"96x64"}, {"size":"66x64","filters":"setsar=16/11"}, "mp2"), size=(96,64)),
 Row("sar-first.ts", changing("ts", {"size":"66x64","filters":"setsar=16/11"}, {"size":"96x64"}, "mp2"), size=(96,64)),
 Row("sar-same.flv", changing("flv", {"size":"66x64","hertz":44100,"filters":"setsar=16/11"}, {"size":"66x64","hertz":44100}, "aac"), size=(96,64), corners=()),
)
