"""Claim budget: how many jobs a worker process claims before another one takes its place."""

import asyncio


class ClaimBudget:
    """Counts the jobs that the lanes of a worker claim together. `limit` is the most of them; None: no limit.

    budget = ClaimBudget(10)
    taken = budget.take(4)                     # before a claim
    budget.give_back(taken, claimed=len(jobs))  # after it
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._taken = 0
        self.claimed = 0
        """Number of jobs that were claimed."""
        self.used_up = asyncio.Event()
        """Set when the last job was claimed."""

    def take(self, wanted: int) -> int:
        """Reserve up to this many jobs for a claim. Return how many may be claimed."""
        if self._limit is not None:
            wanted = min(wanted, self._limit - self._taken)
        self._taken += wanted
        return wanted

    def give_back(self, taken: int, *, claimed: int) -> None:
        """Report how many of the reserved jobs a claim has found. Other claims may take the rest."""
        self._taken -= taken - claimed
        self.claimed += claimed
        if self.claimed == self._limit:
            self.used_up.set()
