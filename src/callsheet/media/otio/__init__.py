"""Exchange of timelines with editing programs, as OpenTimelineIO files."""
