"""Findings: what a check has found, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

from callsheet.cli.diagnostics.codes import ERRORS, WARNINGS

Level = Literal["error", "warning", "ok"]

_SUBJECTS = {"comfyui": "ComfyUI", "public_url": "public URL"}
"""Subjects that are not the first part of their codes in words."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Finding("disk.low", "3.1 GB free for /data", "delete what is not needed")
    """

    code: str
    """Stable: `<subject>.<finding>`, one of ERRORS or WARNINGS, or `<subject>.ok`."""
    message: str
    action: str = ""
    """What to do; empty only if nothing is to be done."""

    def __post_init__(self) -> None:
        if self.level != "ok" and not self.action:
            raise ValueError(f"the finding {self.code} says not what to do")

    @property
    def level(self) -> Level:
        """Whether it is an error, a warning or in order. Raises ValueError for an unknown code."""
        if self.code in ERRORS:
            return "error"
        if self.code in WARNINGS:
            return "warning"
        if self.code.endswith(".ok"):
            return "ok"
        raise ValueError(f"{self.code} is not a code of findings")

    @property
    def subject(self) -> str:
        """What was checked, in words."""
        name = self.code.partition(".")[0]
        return _SUBJECTS.get(name, name.replace("_", " "))


def ok(subject: str, message: str) -> Finding:
    """Return the finding that a subject, the first part of its codes, is in order."""
    return Finding(f"{subject}.ok", message)
