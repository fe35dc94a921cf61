"""The work on many photos, for the command line and the page alike; results are reported, never printed."""
