"""Firing the ticks of schedules."""
