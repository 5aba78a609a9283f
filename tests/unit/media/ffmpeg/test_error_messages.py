import pytest

from callsheet.domain.errors import DiskFull, FFmpegFailed, Transient
from callsheet.media.ffmpeg.error_messages import explain
from callsheet.media.ffmpeg.runner import FFmpeg


@pytest.mark.parametrize(
    ("stderr", "kind", "message"),
    [
        ("[mov,mp4 @ 0x55d] moov atom not found", FFmpegFailed, "incomplete"),
        ("[out#0/mp4 @ 0x1] Error writing trailer: No space left on device", DiskFull, "no space left"),
        ("[libx264 @ 0x2] height not divisible by 2 (853x481)", FFmpegFailed, "must be even"),
        ("Unknown encoder 'libfoo'", FFmpegFailed, "lacks the encoder"),
        ("Error: Cannot allocate memory", Transient, "memory"),
        ("[h264_nvenc @ 0x7] OpenEncodeSessionEx failed: out of memory (10)", FFmpegFailed, "no free session"),
        (
            "The following filters could not choose their formats: amerge\nError while filtering: Input/output error",
            FFmpegFailed,
            "cannot connect two of its filters",
        ),
    ],
)
def test_known_errors_have_a_helpful_message(stderr: str, kind: type[Exception], message: str):
    error = explain(1, f"some banner\n{stderr}\nConversion failed!", [])

    assert type(error) is kind
    assert message in error.message


def test_folders_and_memory_addresses_are_removed():
    stderr = "[in#0 @ 0x55e2b1] Error opening input /var/lib/secret place/clip.mp4: Protocol error\n"

    error = explain(1, stderr, ["-i", "file:/var/lib/secret place/clip.mp4"])

    assert error.message == "FFmpeg stopped: Error opening input clip.mp4: Protocol error"
    assert "secret" not in error.facts["stderr"]


def test_the_first_line_that_reports_a_failure_is_quoted():
    error = explain(234, "Guessed Channel Layout: mono\n[a @ 0x1] a remark\n[b @ 0x2] Error parsing filterchain\n", [])

    assert error.message == "FFmpeg stopped: Error parsing filterchain"


def test_a_kill_signal_is_a_transient_error():
    error = explain(-9, "", [])

    assert isinstance(error, Transient)
    assert "memory" in error.message


def test_without_stderr_the_exit_status_is_reported():
    assert explain(3, "", []).message == "FFmpeg stopped: exit status 3"


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (228, DiskFull, "set WORK_DIR to a larger disk"),
        (244, Transient, "not enough memory"),
        (183, FFmpegFailed, "Upload it again"),
        (-11, FFmpegFailed, "Upload it again"),
        (-25, FFmpegFailed, "FFMPEG_MAX_OUTPUT"),
    ],
)
def test_an_exit_status_without_stderr_has_a_message(code: int, kind: type[Exception], message: str):
    error = explain(code, "", [])

    assert type(error) is kind
    assert message in error.message


def test_the_failing_line_is_quoted_after_the_message():
    stderr = "x264 [error]: invalid preset 'quick'"

    assert (
        explain(187, stderr, []).message
        == f"FFmpeg stopped: the encoder rejected its settings or the frames ({stderr})"
    )


async def test_a_real_ffmpeg_reports_a_missing_encoder_and_a_full_disk(ffmpeg: FFmpeg):
    video = ["-f", "lavfi", "-i", "testsrc2=size=64x64:duration=1"]

    with pytest.raises(FFmpegFailed, match="Set FFMPEG_PATH to a fuller build"):
        await ffmpeg.run([*video, "-c:v", "libnone", "-f", "null", "-"])
    with pytest.raises(DiskFull, match="no space left on the device"):
        await ffmpeg.run([*video, "-c:v", "rawvideo", "-f", "avi", "file:/dev/full"])


async def test_a_missing_file_is_reported_without_its_folder(ffmpeg: FFmpeg):
    with pytest.raises(FFmpegFailed, match="an input file is missing") as caught:
        await ffmpeg.run(["-i", "file:/nowhere/at all/x.mp4", "-f", "null", "-"])

    assert "nowhere" not in str(caught.value.facts) + caught.value.message


def test_a_read_only_home_is_not_reported_as_the_cause():
    stderr = "Fontconfig error: No writable cache directories\n\t/nonexistent/.cache/fontconfig\n\nOops, failed"

    assert explain(1, stderr, []).message == "FFmpeg stopped: Oops, failed"
