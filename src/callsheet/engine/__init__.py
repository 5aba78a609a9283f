"""What happens to executions and jobs, from submission to the last event."""
