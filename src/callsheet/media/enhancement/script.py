"""The enhancement script: `python script.py REQUEST`, where REQUEST is `{"<kind>": {…}}` as JSON.

It writes messages as lines of JSON (see the function of each kind), and `{"error": "…", "disk_full": false}` when it
fails. It is a process of its own, since a malicious file may crash the decoder, and a model takes much memory.
"""

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import TypeAdapter

from callsheet.media.enhancement.frame_listing import list_parts
from callsheet.media.enhancement.inference import quiet_runtimes
from callsheet.media.enhancement.interpolation import interpolate_parts
from callsheet.media.enhancement.part_join import join_parts
from callsheet.media.enhancement.remote_parts import encode_received, extract_part
from callsheet.media.enhancement.requests import (
    EncodeRequest,
    ExtractRequest,
    ImageRequest,
    InterpolateRequest,
    JoinRequest,
    ListingRequest,
    UpscaleRequest,
)
from callsheet.media.enhancement.upscaling import upscale_parts, upscale_still
from callsheet.media.thumbnails.subprocess_protocol import run_request, send

KINDS: dict[str, tuple[Any, Callable[[Any], Iterator[dict[str, Any]]]]] = {
    "list": (ListingRequest, list_parts),
    "upscale": (UpscaleRequest, upscale_parts),
    "interpolate": (InterpolateRequest, interpolate_parts),
    "extract": (ExtractRequest, extract_part),
    "encode": (EncodeRequest, encode_received),
    "image": (ImageRequest, upscale_still),
    "join": (JoinRequest, join_parts),
}
"""Request and function of each kind."""


def main(data: dict[str, Any]) -> dict[str, Any]:
    """Run one request, and send its messages. Return the last message."""
    [(kind, fields)] = data.items()
    request, run = KINDS[kind]
    for message in run(TypeAdapter(request).validate_python(fields)):
        send(message)
    return {"complete": True}


if __name__ == "__main__":
    quiet_runtimes()
    run_request(main)
