"""The timeline: the params of `render`, in the terms of video editing."""
