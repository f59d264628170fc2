"""The pure core: records and rules without I/O, clock, chance or context."""
