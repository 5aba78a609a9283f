"""Checks of an installation, for `callsheet check`. They start nothing, and change nothing but their own small files.

One file per subject. A check is an async generator of findings; `all_checks` lists them, and `runner` runs them at
once, each with a time limit.
"""

from callsheet.cli.diagnostics.findings import Finding, Level
from callsheet.cli.diagnostics.runner import run_checks

__all__ = ["Finding", "Level", "run_checks"]
