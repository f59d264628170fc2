"""Running one job: from the claimed record to its settlement."""
