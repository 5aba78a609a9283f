"""Default audio bitrates, in bits per second. A default applies where the client gives no bitrate."""

PER_CHANNEL: dict[str, int] = {"aac": 96_000, "opus": 64_000, "mp3": 96_000}
"""Per channel, for concat, split, mux and extract-audio. Their output may be encoded again, so that the rate leaves a
margin for a second generation: 192 kbit/s for stereo AAC."""

SURROUND_CHANNELS = 4
"""5.1 counts as 4 channels: the center, surround and LFE channels need less than the front pair."""

RENDER_AAC = 2 * PER_CHANNEL["aac"]
"""Stereo AAC of a rendered MP4. A render is a master for later operations, as above."""

DELIVERY: dict[str, int | None] = {"aac": 160_000, "opus": 112_000, "flac": None}
"""Stereo, for the renditions of a transcode and rendered WebM: the last encode, so that size counts more than margin.
None: a lossless codec has no bitrate."""
