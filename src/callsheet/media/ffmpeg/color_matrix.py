"""Color matrix of video that does not state one."""

SD_HEIGHT = 576
"""Maximum height of standard definition, in pixels. Players assume BT.601 up to it, and BT.709 above."""
