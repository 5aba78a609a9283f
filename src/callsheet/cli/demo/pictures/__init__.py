"""The moving pictures of the demo film: each is a list of paper layers, the farthest first."""

from callsheet.cli.demo.pictures.city import city
from callsheet.cli.demo.pictures.dawn import dawn
from callsheet.cli.demo.pictures.mountains import mountains

PICTURES = {"dawn": dawn, "mountains": mountains, "city": city}

__all__ = ["PICTURES", "city", "dawn", "mountains"]
