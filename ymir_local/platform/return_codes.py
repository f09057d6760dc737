"""The codes that the platform shows when a task fails, in words, from the texts (contract a.6 and h)."""

import difflib
from dataclasses import dataclass
from functools import cache

from ymir_exc.code import ExecutorReturnCode

from ..texts import Text, catalogue, t

# Codes of an older numbering, 180001 to 180301, have the same last digits.
OLD_PREFIX, PREFIX = '180', '300'
EXPLANATIONS = ('meaning', 'causes', 'remedy')


@dataclass(frozen=True)
class ReturnCode:
    """One code in words.

    Args:
        code: the number.
        name: as the source of the platform calls it; '' where an executor itself never writes the code.
    """

    code: int
    name: str

    def __getitem__(self, key: str) -> Text:
        """One of its EXPLANATIONS: what it means, what usually causes it, what to do."""
        return t(f'codes.{self.code}.{key}')

    def explained(self, language: str) -> dict[str, str]:
        """Return all EXPLANATIONS in a language.

        Args:
            language: 'en' or 'zh'.
        """
        return {key: self[key].in_language(language) for key in EXPLANATIONS}


@cache
def return_codes() -> dict[int, ReturnCode]:
    """Return all codes by number, in the order of the texts."""
    names = {int(code): code.name for code in ExecutorReturnCode}
    codes = dict.fromkeys(int(key.split('.')[1]) for key in catalogue('en') if key.startswith('codes.'))
    return {code: ReturnCode(code, names.get(code, '')) for code in codes}


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
