"""Cuts exchanged with editing programs, as OpenTimelineIO."""
