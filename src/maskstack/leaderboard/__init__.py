"""The comparison of methods on annotated images: planned, run anywhere, stored, reported."""
