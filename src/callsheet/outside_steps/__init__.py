"""Steps outside of Callsheet: commands and HTTP endpoints, with progress, cancellation and files."""
