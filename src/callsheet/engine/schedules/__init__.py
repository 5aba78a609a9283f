"""Schedules: plans that are run at times, each time once, however many servers run."""
