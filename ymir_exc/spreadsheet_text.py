"""Text in tables that people open in a spreadsheet program, which runs a cell as a formula that begins like one.

An apostrophe before such a text makes it text; the readers of the tables take it off again.
"""

from __future__ import annotations

_FORMULA_STARTS = tuple('=+-@\t\r')


def to_cell(text: str) -> str:
    """Return a text as a cell that is no formula.

    Args:
        text: of any content; numbers are to stay as they are.
    """
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA_STARTS) else text


def from_cell(cell: str) -> str:
    """Return the text that `to_cell` was given.

    Args:
        cell: of a table; also one that was written as it is.
    """
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA_STARTS) else cell
