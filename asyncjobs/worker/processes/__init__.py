"""Processes for handlers that keep a CPU busy or must be stoppable: a pool that hands one call at a time to a child."""
