"""Training: datasets, profiles of trainers, their commands, their processes and their output."""
