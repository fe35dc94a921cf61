"""What every measuring run shares: its folder, the rows it writes, and the statistics of its numbers."""
