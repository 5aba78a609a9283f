"""The engine: job state, provider submissions, the worker, and reads."""
