"""A video in other codecs, containers and sizes."""
