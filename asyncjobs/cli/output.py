"""What commands print: tables and lines for people, JSON for programs."""

from __future__ import annotations

import argparse

import msgspec

from asyncjobs.cli.tables import Table, print_table

__all__ = ["print_json", "print_lines", "print_tables"]


def print_tables(options: argparse.Namespace, data: object, *tables: Table) -> None:
    """Print ``tables``, or with ``--json`` their ``data``."""
    if options.json:
        print_json(data)
        return
    for table in tables:
        print_table(table)


def print_lines(options: argparse.Namespace, data: object, *lines: str) -> None:
    """Print ``lines``, or with ``--json`` their ``data`` on one line."""
    print(msgspec.json.encode(data).decode() if options.json else "\n".join(lines))


def print_json(data: object) -> None:
    """Print ``data`` as indented JSON."""
    print(msgspec.json.format(msgspec.json.encode(data)).decode())
