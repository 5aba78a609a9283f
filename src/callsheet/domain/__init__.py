"""Domain model: records, errors and rules without I/O."""
