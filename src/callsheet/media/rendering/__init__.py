"""Making a film: everything in its place, the filters for it, and the work it takes."""
