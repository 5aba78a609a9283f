"""Reading the output of trainers."""

import pytest

from callsheet.training.trainer_output import Bar, Excerpts, LineSplitter, read_bar


@pytest.mark.parametrize(
    ("line", "bar"),
    [
        (
            "steps:  12%|█▏        | 12/100 [00:06<00:44,  2.00it/s, avr_loss=0.123]",
            Bar("steps", 12, 100, 44, 0.123),
        ),
        (
            "steps: 100%|██████████| 8/8 [1:02:03<00:00,  4.5s/it, Average key norm=0.1, avr_loss=1.2e-05]",
            Bar("steps", 8, 8, 0, 1.2e-05),
        ),
        ("steps:   0%|          | 0/1600 [00:00<?, ?it/s]", Bar("steps", 0, 1600, None, None)),
        (
            "Epoch 3/10:  50%|#####     | 5/10 [00:05<00:05,  1.00s/update, loss=0.71, update=25]",
            Bar("Epoch 3/10", 5, 10, 5, 0.71, (3, 10)),
        ),
        ("steps:  12%|█ | 900/100 [00:06<00:44,  2.00it/s]", Bar("steps", 100, 100, 44, None)),
    ],
)
def test_progress_bars_are_read(line, bar):
    assert read_bar(line) == bar


@pytest.mark.parametrize(
    "line",
    [
        "",
        "loss=0.1",
        "12/100",
        "epoch is incremented. current_epoch: 0, epoch: 1",
        "1%| | 0/0 [00:00<?, ?it/s]",
        "|" * 500,
        "9" * 500 + "%|",
    ],
)
def test_other_lines_are_no_progress_bars(line):
    assert read_bar(line) is None


def test_a_loss_that_is_no_number_is_read():
    assert str(read_bar("steps:   1%| | 1/100 [00:06<00:44,  2.00it/s, avr_loss=nan]").loss) == "nan"


def test_each_state_of_a_progress_bar_is_a_line():
    splitter = LineSplitter()
    lines = [*splitter.feed(b"\rsteps: 0\rsteps: 1\nde"), *splitter.feed(b"ne\xff\n\n"), *splitter.end()]

    assert lines == ["steps: 0", "steps: 1", "dene\N{REPLACEMENT CHARACTER}"]


def test_control_sequences_are_removed():
    splitter = LineSplitter()
    data = b"\x1b[32mgreen\x1b[0m \x1b]0;title\x07text\x1b[2K\x00\x9b\n"
    assert next(splitter.feed(data)).startswith("green text")
    assert not any(ord(char) < 32 for char in "".join(splitter.feed(data)))


def test_endless_lines_are_bounded():
    splitter = LineSplitter()
    for _ in range(100):
        assert list(splitter.feed(b"x" * 100_000)) == []
    assert [len(line) for line in splitter.end()] == [500]


def test_excerpts_keep_the_start_and_the_end():
    excerpts = Excerpts(first=2, last=3)
    for number in range(10):
        excerpts.add(str(number))

    assert excerpts.lines == ["0", "1", "… 5 lines …", "7", "8", "9"]
