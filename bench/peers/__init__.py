"""The measured systems: for each, a process that submits and a process that works."""
