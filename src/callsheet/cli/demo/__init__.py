"""A short film that Callsheet makes of nothing: no network, no keys, no GPU."""

from callsheet.cli.demo.plan import OPERATIONS, plan

__all__ = ["OPERATIONS", "plan"]
