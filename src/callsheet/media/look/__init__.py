"""How a picture or a video looks, in words: simple measurements of sampled frames, and no model."""
