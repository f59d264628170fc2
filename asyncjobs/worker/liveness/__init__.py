"""Keeping a worker's leases alive, and whether the worker does its work."""
