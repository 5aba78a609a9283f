"""Job state changes: submit, complete, cancel, retry, child jobs."""
