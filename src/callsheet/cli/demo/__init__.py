"""The demo film. It needs no network, no API keys, and no GPU."""

from callsheet.cli.demo.plan import OPERATIONS, plan

__all__ = ["OPERATIONS", "plan"]
