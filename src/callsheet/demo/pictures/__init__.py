"""The moving pictures of the demo film: each is a list of paper layers, the farthest first."""

from callsheet.demo.pictures.city import city
from callsheet.demo.pictures.dawn import dawn
from callsheet.demo.pictures.mountains import mountains

PICTURES = {"dawn": dawn, "mountains": mountains, "city": city}

__all__ = ["PICTURES", "city", "dawn", "mountains"]
