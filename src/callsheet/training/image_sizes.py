"""Script: decode images completely, and report their sizes in JSON lines.

It runs in a child process, because the files are untrusted.
"""

import json
import sys
import warnings
from pathlib import Path

from PIL import Image


def main() -> None:
    """Read `{"folder": …, "names": […], "maxPixels": …}` from the first argument; print a line for each name."""
    request = json.loads(sys.argv[1])
    Image.MAX_IMAGE_PIXELS = None  # the limit below has a clearer message
    warnings.simplefilter("ignore")
    for name in request["names"]:
        print(json.dumps({"name": name, **_facts(Path(request["folder"]) / name, request["maxPixels"])}), flush=True)  # noqa: T201


def _facts(path: Path, max_pixels: int) -> dict[str, object]:
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height > max_pixels:
                return {"error": f"it is {width}x{height}; the limit is {max_pixels:,} pixels"}
            image.load()
            return {"width": width, "height": height}
    except Exception as error:  # noqa: BLE001 - decoders raise anything on damaged files
        return {"error": f"it cannot be decoded: {str(error).replace(str(path), path.name) or type(error).__name__}"}


if __name__ == "__main__":
    main()
