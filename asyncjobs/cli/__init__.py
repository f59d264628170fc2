"""The command line: one module for each command, or for a few about the same thing.

It stands on argparse, so that a worker needs no package beyond the library's own requirements.
"""

from asyncjobs.cli.main import main

__all__ = ["main"]
