"""Work on many photographs, for the command line and the page alike."""
