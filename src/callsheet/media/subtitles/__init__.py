"""Text in films: how it looks, where it stands, when it is read, and the files it comes in."""
