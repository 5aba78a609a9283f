import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsheet.media.ffmpeg.filter_graph import FilterGraph, escape
from callsheet.media.ffmpeg.runner import FFmpeg

HOSTILE = [
    *("it's", '"dq"', "a:b", "a,b", "a;b", "[x]", "100%", "%{pts}", "back\\slash", "\\\\", "tail\\", "'", "\\'", "a=b"),
    *(" lead", "trail ", "\ttab\t", "two\nlines", "émoji 🎬", "עברית", "$HOME `id`", "drawtext=text=a,nullsrc[o];[o]"),
]


async def test_ffmpeg_receives_option_values_unchanged(ffmpeg: FFmpeg):
    generator = random.Random(11)
    random_values = ["".join(generator.choices("\\':=,;[] %\n\tab/é🎬", k=generator.randint(1, 12))) for _ in range(60)]
    values = [*HOSTILE, *random_values]
    graph = FilterGraph()
    stream = graph.add("color", size="16x16", rate=1, duration=1)
    for number, value in enumerate(values):
        stream = graph.add("metadata", stream, mode="add", key=f"key{number}", value=value)
    stream = graph.add("metadata", stream, mode="print", file="-")

    printed = await ffmpeg.capture(["-filter_complex", str(graph), "-map", f"[{stream}]", "-f", "null", "-"])

    text = printed.stdout.decode()
    for number, value in enumerate(values):
        following = f"\nkey{number + 1}=" if number + 1 < len(values) else "\n"
        assert f"\nkey{number}={value}{following}" in text


@given(st.floats(min_value=-1e6, max_value=1e6))
def test_numbers_have_the_notation_of_ffmpeg(number: float):
    written = escape(number)

    assert "e" not in written
    assert not written.startswith((".", "-."))
    assert float(written) == pytest.approx(number, abs=1e-6)


def test_booleans_fractions_and_integers_are_escaped():
    assert escape(True) == "1"
    assert escape(Fraction(30000, 1001)) == "30000/1001"
    assert escape(7) == "7"
    with pytest.raises(ValueError, match="NUL"):
        escape("a\0b")


def test_filters_are_written_in_order():
    graph = FilterGraph()
    left, right = graph.split("split", "0:v:0")
    out = graph.chain(left, ("scale", {"w": 2, "h": None}), ("setsar", {"sar": 1}))
    out = graph.add("overlay", out, right, x="(W-w)/2", shortest_=True)

    assert str(graph) == (
        "[0:v:0]split=2[n0][n1];[n0]scale=w=2[n2];[n2]setsar=sar=1[n3];[n3][n1]overlay=x=(W-w)/2:shortest=1[n4]"
    )
