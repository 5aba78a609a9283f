"""Child processes: limits, supervision, JSON protocols and bounded concurrency."""
