"""The lending of a connection in a tenant's schema: its steps, and two drivers that they are taken with."""
