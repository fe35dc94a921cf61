"""Measured runs: their rows, stored in shards, locked, read back and tested for significance."""
