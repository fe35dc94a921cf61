"""Speed, cost and choices, measured by hand."""
