"""Hostile files, generated for tests: damaged files, playlists that open other files, decompression bombs."""

import os
import re
import struct
import zipfile
import zlib
from pathlib import Path

from .studio import Studio

# The content of a file that must not be read. It would appear in the output if it were.
SECRET = "SECRETSECRETSECRET"


def make_corpus(studio: Studio, folder: Path, url: str) -> dict[str, Path]:
    """Make one file of each kind. `url` is the address of a server that counts requests."""
    front = studio.make("front.mp4", *_film(studio), "-movflags", "+faststart")
    late = studio.make("late.mp4", *_film(studio))
    (folder / "secret.txt").write_text(SECRET)
    sibling = folder / "sibling.mp4"
    sibling.write_bytes(front.read_bytes())
    return {
        **_damaged(folder, front, late),
        **_playlists(folder, sibling, url),
        **_bombs(studio, folder, front),
        **_special_files(folder),
    }


def _film(studio: Studio) -> list[str]:
    clip = studio.clip("film.mp4", "testsrc2=size=64x64:rate=30", seconds=2, sound="sine=frequency=300")
    return ["-i", str(clip), "-c", "copy"]


def _damaged(folder: Path, front: Path, late: Path) -> dict[str, Path]:
    whole = late.read_bytes()
    return {
        "index missing": _write(folder / "noindex.mp4", whole[: whole.rfind(b"moov") - 4]),
        "only the head": _write(folder / "head.mp4", front.read_bytes()[:40]),
        "text": _write(folder / "text.mp4", b"This is not a film.\n" * 50),
        "noise": _write(folder / "noise.mp4", bytes((n * n * 31 + n // 7) % 256 for n in range(20_000))),
        "empty": _write(folder / "empty.mp4", b""),
        "zip": _zip(folder / "zip.mp4"),
        "a huge sample count": _write(folder / "stsz.mp4", _with_huge_sample_count(front.read_bytes())),
        "a huge box": _write(folder / "box.mp4", front.read_bytes()[:32] + b"\0\0\0\1moov" + b"\x7f" * 8),
    }


def _playlists(folder: Path, sibling: Path, url: str) -> dict[str, Path]:
    hls = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"
    dash = (
        '<?xml version="1.0"?>'
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S"><Period>'
        '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{}</BaseURL>'
        "<SegmentList><SegmentURL media='{}'/></SegmentList></Representation></AdaptationSet></Period></MPD>"
    )
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="64" height="64">'
        '<image width="64" height="64" xlink:href="{}"/></svg>'
    )
    xxe = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file://{folder}/secret.txt">]><MPD>&x;</MPD>'
    sdp = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    texts = {
        "HLS, a file beside it": ("film.m3u8", hls.format(sibling.name)),
        "HLS, a file by its path": ("local.m3u8", hls.format(sibling)),
        "HLS, a secret file": ("secret.m3u8", hls.format(f"file://{folder}/secret.txt")),
        "HLS, a URL": ("remote.m3u8", hls.format(f"{url}/hls.ts")),
        "HLS named as a video": ("hls.mp4", hls.format(sibling.name)),
        "HLS within HLS": ("master.m3u8", f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{url}/inner.m3u8\n"),
        "HLS, joined by a protocol": ("concat.m3u8", hls.format(f"concat:{folder}/secret.txt|{sibling}")),
        "DASH, a URL": ("film.mpd", dash.format(f"{url}/", "dash.mp4")),
        "DASH named as a video": ("dash.mp4", dash.format("", sibling.name)),
        "XML with an entity": ("xxe.mpd", xxe),
        "ffconcat, a file beside it": ("list.ffconcat", f"ffconcat version 1.0\nfile {sibling.name}\n"),
        "ffconcat named as a video": ("list.mp4", f"ffconcat version 1.0\nfile {sibling.name}\n"),
        "ffconcat, a URL": ("remote.ffconcat", f"ffconcat version 1.0\nfile '{url}/concat.mp4'\n"),
        "SDP": ("film.sdp", sdp),
        "SVG, a URL": ("film.svg", svg.format(f"{url}/svg.png")),
        "SVG named as an image": ("svg.png", svg.format(f"file://{folder}/secret.txt")),
        "an Avisynth script": ("film.avs", f'DirectShowSource("{sibling}")\n'),
        "M3U": ("list.m3u", f"{url}/list.mp4\n"),
    }
    return {kind: _write(folder / name, text.encode()) for kind, (name, text) in texts.items()}


def _bombs(studio: Studio, folder: Path, front: Path) -> dict[str, Path]:
    source = ["-f", "lavfi", "-i", "testsrc2=size=64x64:rate=30", "-frames:v", "2", "-vf", "setpts=N*36000/TB"]
    gap = studio.make("gap.mkv", *source, "-fps_mode", "passthrough", "-c:v", "libx264", "-preset", "ultrafast")
    tracks = [arg for _ in range(150) for arg in ("-map", "0:a")]
    return {
        "an image of 12000 by 12000": _write(folder / "bomb.png", _png(12_000)),
        "a GIF of 65535 by 65535": _write(folder / "bomb.gif", b"GIF89a\xff\xff\xff\xff\xf7\0\0" + bytes(768) + b";"),
        "two frames ten hours apart": gap,
        "two frames ten hours apart, with a stated duration of a second": _write(
            folder / "lie.mkv", _with_short_duration(gap)
        ),
        "150 streams": studio.make("tracks.mp4", "-i", str(front), *tracks, "-c", "copy"),
    }


def _special_files(folder: Path) -> dict[str, Path]:
    made = {name: folder / name for name in ("pipe.mp4", "folder.mp4", "loop.mp4", "device.mp4", "passwd.mp4")}
    os.mkfifo(made["pipe.mp4"])
    made["folder.mp4"].mkdir()
    made["loop.mp4"].symlink_to("loop.mp4")
    made["device.mp4"].symlink_to("/dev/zero")
    made["passwd.mp4"].symlink_to("/etc/passwd")
    return {
        "a pipe": made["pipe.mp4"],
        "a folder": made["folder.mp4"],
        "a link to itself": made["loop.mp4"],
        "a link to an endless device": made["device.mp4"],
        "a link to the passwords": made["passwd.mp4"],
    }


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.txt", bytes(1_000_000))
    return path


def _png(side: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side // 8 + 1) * side), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _with_huge_sample_count(film: bytes) -> bytes:
    at = film.index(b"stsz")
    return film[: at + 12] + b"\x7f\xff\xff\xff" + film[at + 16 :]


def _with_short_duration(film: Path) -> bytes:
    """Change the stated duration of a Matroska to one second: the element 0x4489 of 8 bytes, and the stream tag."""
    data = film.read_bytes()
    at = data.index(b"\x44\x89\x88")
    data = data[: at + 3] + struct.pack(">d", 1000.0) + data[at + 11 :]
    return re.sub(rb"10:00:00\.\d{9}", b"00:00:01.000000000", data)
