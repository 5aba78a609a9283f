"""Lanes of `callsheet worker`."""

from callsheet.cli.worker import _choose_lanes
from callsheet.settings import Settings


def test_queues_may_have_the_names_of_the_replaced_systems():
    known = ["render", "caption"]
    lanes = _choose_lanes(Settings(_env_file=None), "render_queue, caption_queue", "render_queue=3", known)

    assert lanes == {"render": 3, "caption": 1}
