"""What the code declares and the reference repeats: the docstrings of fields, and the rows of a page's tables."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from pathlib import Path

__all__ = ["cells_of", "docs_of"]

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"


def docs_of(declared: type) -> dict[str, str]:
    """Return the docstring under each field of a class, as a page writes it: one line, single backticks."""
    body = ast.parse(textwrap.dedent(inspect.getsource(declared))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            assert isinstance(below, ast.Expr), f"{declared.__name__}.{field.target.id} has no docstring"
            assert isinstance(below.value, ast.Constant)
            found[field.target.id] = " ".join(str(below.value.value).split()).replace("``", "`")
    return found


def cells_of(page: str, section: str) -> dict[str, dict[str, str]]:
    """Return the table under a heading of a page of the reference: the cells of each row by heading, by first cell.

    A link is the text of the link.
    """
    text = (REFERENCE / page).read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    text = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", text)
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    return {row[0].strip("`"): dict(zip(head, row, strict=True)) for row in rows}
