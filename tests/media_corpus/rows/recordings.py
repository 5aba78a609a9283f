"""Recordings of phones, streams and old cameras: indexes, headers and clocks that are wrong or missing."""

import struct

from ..clips import BEEP, TO_BT709, X264
from ..film_recipes import changing, coded_as_fields, edited_header, film, joined_streams, remuxed, transparent, with_streams
from ..damage_recipes import cut_off
from ..sound_recipes import sound, channels
from ..table import COPIES, FILTERED, Row, audible

_B = "libx264 -preset veryfast -bf 3 -g 25"
_VP8 = "libvpx -deadline realtime -g 25 -auto-alt-ref 0"
_FRAG = "-movflags frag_keyframe+empty_moov+default_base_moof"


def asf_seconds(factor):
    def change(data):
        at = data.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")) + 24 + 16 + 8 + 8 + 8
        play, send = struct.unpack_from("<QQ", data, at)
        play = round(play*factor)
        return data[:at] + struct.pack("<QQ", play, round(send*factor)) + data[at + 16 :]
    return change

def no_asf_index(data):
    at = data.rindex(bytes.fromhex("90080033b1e5cf1189f400a0c90349cb"))
    return data[:at]

def bad_asf_index(data):
    at = data.rindex(bytes.fromhex("90080033b1e5cf1189f400a0c90349cb"))
    return data[:at+56] + b"\xff"*(len(data)-at-56)

def no_flv_duration(data):
    at = data.index(b"\x00\x08duration") + 11
    return data[:at] + bytes(8) + data[at+8:]

def no_flv_meta(data):
    size = int.from_bytes(data[14:17],"big")
    assert data[13]==18
    return data[:13]+data[13+11+size+4:]

def bad_flv_duration(data):
    at = data.index(b"\x00\x08duration") + 11
    return data[:at] + struct.pack(">d", 7200.0) + data[at+8:]

def no_mkv_duration(data):
    at = data.index(b"\x44\x89\x88")
    return data[:at] + b"\xec\x89" + bytes(9) + data[at+11:]

def no_cues(data):
    at = data.rindex(b"\x1c\x53\xbb\x6b")
    # a void element of the same size
    return data[:at]

def no_mfra(data):
    at = data.rindex(b"mfra")-4
    return data[:at]

def bad_sidx(data):
    at = data.index(b"sidx")
    n = struct.unpack_from(">H", data, at+34)[0]
    out=bytearray(data)
    for k in range(n):
        p=at+36+12*k
        ref,dur=struct.unpack_from(">II",out,p)
        struct.pack_into(">II",out,p,(ref*3)&0x7fffffff,(dur*5)&0xffffffff)
    return bytes(out)

ROWS = (
    Row("no-index.wmv", edited_header(film("wmv2", "wmav2"), "wmv", no_asf_index), slack=0.12),
    Row("bad-index.wmv", edited_header(film("wmv2", "wmav2"), "wmv", bad_asf_index), slack=0.12),
    Row("twice.wmv", edited_header(film("wmv2", "wmav2"), "wmv", asf_seconds(3)), slack=0.12),
    Row("half.wmv", edited_header(film("wmv2", "wmav2"), "wmv", asf_seconds(0.5)), slack=0.12),
    Row("cut-off.wmv", cut_off(0.7, film("wmv2 -g 1", "wmav2"), "wmv"), seconds=1.3, frames=None, flashes=(.5,), beeps=(.5,), slack=.3, notes="cut off"),
    Row("zero.wmv", edited_header(film("wmv2", "wmav2"), "wmv", asf_seconds(0)), slack=0.12),
    Row("b-frames.avi", film(_B, "libmp3lame")),
    Row("hours.flv", film(X264, "aac", hertz=44100, extra="-output_ts_offset 7200")),
    Row("hours-no-duration.flv", edited_header(film(X264, "aac", hertz=44100, extra="-output_ts_offset 7200"), "flv", no_flv_duration)),
    Row("no-duration.flv", edited_header(film(X264, "aac", hertz=44100), "flv", no_flv_duration)),
    Row("no-metadata.flv", edited_header(film(X264, "aac", hertz=44100), "flv", no_flv_meta)),
    Row("wrong-duration.flv", edited_header(film(X264, "aac", hertz=44100), "flv", bad_flv_duration)),
    Row("no-duration.mkv", edited_header(film(), "mkv", no_mkv_duration)),
    Row("no-cues.mkv", edited_header(film(_B), "mkv", no_cues)),
    Row("font.mkv", with_streams(maps="-map 0:v -map 0:a -attach whole.mkv -metadata:s:t mimetype=application/x-truetype-font -metadata:s:t filename=a.ttf")),
    Row("alpha-cut.webm", cut_off(0.6, transparent("libvpx -deadline realtime -g 1 -auto-alt-ref 0", "libopus", pixels="yuva420p"), "webm"), seconds=1.2, frames=None, flashes=(.5,), beeps=(.5,), slack=.3, notes="cut off", skip=COPIES),
    Row("no-mfra.mp4", edited_header(remuxed("-movflags","frag_keyframe+empty_moov+default_base_moof"), "mp4", no_mfra)),
    Row("wrong-sidx.mp4", edited_header(remuxed("-movflags","frag_keyframe+empty_moov+default_base_moof+global_sidx", source=film("libx264 -preset ultrafast -g 12")), "mp4", bad_sidx)),
    Row("dash.mp4", remuxed("-movflags","dash+frag_keyframe+empty_moov+delay_moov+skip_sidx", source=film(_B))),
    Row("amr.3gp", film("h263","libopencore_amrnb -b:a 12.2k", size="176x144", sound=(BEEP,), hertz=8000), size=(176,144), level=None),
    Row("amr-h264.3gp", film(X264,"libopencore_amrnb -b:a 12.2k", sound=(BEEP,), hertz=8000), level=None),
    Row("five-mono.mov", with_streams(maps="-map 0:v -filter_complex [0:a]channelsplit[l][r] -map [l] -map [r]", options="-c:v copy -c:a pcm_s16le -timecode 01:00:00:00"), level=None),
    Row("quad.mov", film(X264, "pcm_s24le", sound=(BEEP,BEEP,"0","0"), extra="-timecode 10:00:00:00"), level=None),
    Row("big-endian.mov", film(X264, "pcm_s16be", extra="-timecode 01:00:00:00")),
    Row("float.mov", film(X264, "pcm_f32be", sound=(BEEP,)), level=.5),
    Row("eight.mov", film(X264, "pcm_s16le", sound=(BEEP,)*8, extra="-timecode 01:00:00:00"), level=None),
    Row("u8.mov", film(X264, "pcm_u8")),
    Row("reset-parts.mpg", joined_streams(30, marked=False, suffix="mpg", video="mpeg2video -b:v 1M"), notes="clock"),
    Row("b-reset.mpg", joined_streams(0, marked=False, suffix="mpg", video="mpeg2video -b:v 1M -bf 2"), notes="clock"),
    Row("late-start.mpg", film("mpeg2video -b:v 1M","mp2", extra="-output_ts_offset 40000")),
)
