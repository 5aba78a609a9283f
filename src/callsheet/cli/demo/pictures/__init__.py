"""The animations of the demo film. Each is a list of paper layers, from back to front."""

from callsheet.cli.demo.pictures.city import city
from callsheet.cli.demo.pictures.dawn import dawn
from callsheet.cli.demo.pictures.mountains import mountains

PICTURES = {"dawn": dawn, "mountains": mountains, "city": city}

__all__ = ["PICTURES", "city", "dawn", "mountains"]
