"""The command line, a module a command or two, on argparse, so that a worker needs nothing more."""

from asyncjobs.cli.main import main

__all__ = ["main"]
