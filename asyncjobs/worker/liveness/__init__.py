"""Keeping a worker's leases alive, and telling whether it does its work."""
