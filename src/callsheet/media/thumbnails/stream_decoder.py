"""The decoder of a video stream."""

import av
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream


def stream_decoder(stream: VideoStream, name: str | None, threads: int) -> VideoCodecContext:
    """Return the decoder of a stream: its own, or the one of this name, as for the alpha channel of VP8 and VP9."""
    decoder = stream.codec_context
    if name is not None:
        named = av.CodecContext.create(name, "r")
        assert isinstance(named, VideoCodecContext)  # noqa: S101 - it is a decoder of video
        decoder = named
        decoder.extradata = stream.codec_context.extradata
    decoder.thread_type = "AUTO"
    decoder.thread_count = threads
    return decoder
