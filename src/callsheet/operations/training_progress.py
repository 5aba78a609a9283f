"""Progress of a training, from the output of its trainer."""

import logging
import time
from collections.abc import Sequence

from callsheet.domain.errors import TrainerFailed
from callsheet.domain.model import Model
from callsheet.operation_api.contract import Context
from callsheet.training.commands import Command
from callsheet.training.trainer_output import Bar, Excerpts, read_bar

log = logging.getLogger("callsheet.trainer")

_PUBLISH_INTERVAL = 10.0
"""Seconds between two events with the loss."""
_MAX_LOSSES = 200
_OUT_OF_MEMORY = ("out of memory", "OutOfMemoryError")


class LossPoint(Model):
    """The mean loss at a step."""

    step: int
    loss: float


class TrainingProgress:
    """Reads the output of the commands of a training, one after the other."""

    def __init__(self, job: Context, commands: Sequence[Command], *, smaller: str) -> None:
        """`smaller` says what to change when the graphics card has too little memory."""
        self._smaller = smaller
        self._job = job
        self._total_weight = sum(command.weight for command in commands)
        self._done_weight = 0.0
        self._command: Command | None = None
        self._published = float("-inf")
        self.excerpts = Excerpts()
        self.losses: list[LossPoint] = []
        """At most 200, evenly spaced."""
        self.last_loss: LossPoint | None = None
        self._stride = 1

    def start(self, command: Command) -> None:
        """Begin with a command."""
        self._command = command
        self._report(0.0, command.label)

    def end(self) -> None:
        """The command has succeeded."""
        assert self._command is not None  # noqa: S101 - it was started
        self._done_weight += self._command.weight

    def on_line(self, line: str) -> None:
        """Read a line of output."""
        bar = read_bar(line)
        if bar is None:
            self.excerpts.add(line)
            log.info(line)
        elif self._command is not None:
            self._on_bar(bar, self._command)

    def failure(self, error: TrainerFailed) -> TrainerFailed:
        """Return the error of a trainer, with the end of its output."""
        last = self.excerpts.last
        message = f"{error.message} Its last output: {' | '.join(last)[-1500:] or 'none'}"
        if any(text in line for line in last for text in _OUT_OF_MEMORY):
            message = f"The graphics card has too little memory for this training: {self._smaller}. {message}"
        return TrainerFailed(message, **error.facts)

    def _on_bar(self, bar: Bar, command: Command) -> None:
        done, total = _steps(bar, command)
        text = f"{command.label}: {done} of {total}"
        if bar.loss is not None:
            text += f", loss {bar.loss:.4g}"
            self._add_loss(LossPoint(step=done, loss=bar.loss))
        if bar.seconds_left is not None and bar.epoch is None:
            text += f", {_time(bar.seconds_left)} left"
        self._report(done / total, text)
        now = time.monotonic()
        if bar.loss is not None and now - self._published >= _PUBLISH_INTERVAL:
            self._published = now
            self._job.publish(step=done, steps=total, loss=bar.loss, secondsLeft=bar.seconds_left)
            log.info(text)

    def _add_loss(self, point: LossPoint) -> None:
        if point.loss != point.loss or point.loss in (float("inf"), float("-inf")):
            return  # not a number: no JSON
        is_new = self.last_loss is None or point.step > self.last_loss.step
        self.last_loss = point
        if is_new and point.step % self._stride == 0:
            self.losses.append(point)
        if len(self.losses) > _MAX_LOSSES:
            self.losses = self.losses[::2]
            self._stride *= 2

    def _report(self, share: float, text: str) -> None:
        weight = self._command.weight if self._command is not None else 0.0
        self._job.progress(min(1.0, (self._done_weight + share * weight) / self._total_weight), text)


def _steps(bar: Bar, command: Command) -> tuple[int, int]:
    """Return the steps that are done, and all steps, with those of earlier runs."""
    if bar.epoch is not None:
        number, epochs = bar.epoch
        return (number - 1) * bar.total + bar.done, epochs * bar.total
    total = bar.total if command.counts_all_steps else bar.total + command.first_step
    return min(total, bar.done + command.first_step), total


def _time(seconds: int) -> str:
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
