"""What waiting for providers costs: many jobs that are looked at, calls that end jobs, a server of our own."""
