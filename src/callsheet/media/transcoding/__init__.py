"""Transcoding: change the codecs, container and size of a video."""
