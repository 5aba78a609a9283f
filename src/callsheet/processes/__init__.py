"""Child processes: resource limits, supervision, a JSON protocol; and bounded concurrency."""
