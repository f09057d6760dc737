"""The codes that the platform shows when a task fails, in words: a table in return_codes.yaml (contract a.6 and h)."""

import difflib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

TABLE = Path(__file__).with_name('return_codes.yaml')
LANGUAGES = ('en', 'zh')
# Codes of an older numbering, 180001 to 180301, have the same last digits.
OLD_PREFIX, PREFIX = '180', '300'


@dataclass(frozen=True)
class ReturnCode:
    """One code in words.

    Args:
        code: the number.
        name: as the source of the platform calls it.
        meaning, causes, remedy: texts by language.
    """

    code: int
    name: str
    meaning: dict[str, str]
    causes: dict[str, str]
    remedy: dict[str, str]


@cache
def return_codes() -> dict[int, ReturnCode]:
    """Return all codes of the table, by number, in its order."""
    table = yaml.safe_load(TABLE.read_text(encoding='utf-8'))
    return {code: ReturnCode(code, **entry) for code, entry in table.items()}


def find_code(code: int) -> ReturnCode | None:
    """Find a code, also by its number in the older numbering.

    Args:
        code: the number.
    """
    text = str(code)
    if len(text) == 6 and text.startswith(OLD_PREFIX):
        code = int(PREFIX + text[len(OLD_PREFIX) :])
    return return_codes().get(code)


def nearest_codes(code: str) -> list[int]:
    """Return the codes that are nearest to an unknown one.

    Args:
        code: what the user wrote.
    """
    if code.isdigit():  # the fewest wrong digits first: 16001 and 160101 are slips for 160011

        def distance(known: int) -> tuple[float, int]:
            return -difflib.SequenceMatcher(None, str(known), code).ratio(), abs(known - int(code))

        return [known for known in sorted(return_codes(), key=distance) if -distance(known)[0] > 0.6][:3]
    names = {entry.name.lower(): entry.code for entry in return_codes().values() if entry.name}
    return [names[text] for text in difflib.get_close_matches(code.lower(), list(names), n=3, cutoff=0.4)]
