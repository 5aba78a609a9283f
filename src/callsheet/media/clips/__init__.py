"""Commands on whole clips: split, concat, mux, detection."""
