"""Measures this machine: processor, memory, disks and GPUs."""
