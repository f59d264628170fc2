"""The command line: ``asyncjobs worker | stats | demo``, on argparse, so that a worker needs nothing more."""

from asyncjobs.cli.main import main

__all__ = ["main"]
