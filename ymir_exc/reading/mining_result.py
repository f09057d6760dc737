"""result.tsv of mining (contract section d.5): the platform takes column 1 of the first lines and reads no score."""

from __future__ import annotations

import math
from typing import NamedTuple, Sequence

from ..code import PlatformCode
from ..errors import ResultRejected
from .document import MISSING, Document
from .text import PathLike, split_lines


class MiningLine(NamedTuple):
    """One line of result.tsv.

    Attributes:
        number: counted from 1, blank lines too.
        columns: path of the image, text of its score, and whatever else the line has.
    """

    number: int
    columns: list[str]

    @property
    def image(self) -> str:
        """The path of the image."""
        return self.columns[0]

    @property
    def score(self) -> float:
        """The score; NaN if there is none, or no number."""
        try:
            return float(self.columns[1])
        except (IndexError, ValueError):
            return math.nan

    @property
    def is_text(self) -> bool:
        """Whether the line is UTF-8; the platform may not read others."""
        return not any('\udc80' <= letter <= '\udcff' for column in self.columns for letter in column)


def parse_mining_result(text: str) -> list[MiningLine]:
    """Split the content of result.tsv into its lines that are not blank.

    Args:
        text: the content; bytes that are not UTF-8 as ``surrogateescape`` gives them.
    """
    lines = enumerate(split_lines(text), 1)
    return [MiningLine(number, line.split('\t')) for number, line in lines if line.strip()]


def scores_repeat_the_order(scores: Sequence[float]) -> bool:
    """Return whether scores are (n - rank) / n, as of an executor whose scores say nothing but the order.

    Args:
        scores: in the order of the file.
    """
    total = len(scores)
    return all(abs(score - (total - rank) / total) <= 1e-6 for rank, score in enumerate(scores))


def read_mining_result(path: PathLike) -> list[MiningLine]:
    """Read result.tsv, best first. Names that are not UTF-8 pass.

    Args:
        path: of result.tsv.

    Raises:
        ResultRejected: the file is missing or cannot be read.
    """
    document = Document.read(path, errors='surrogateescape')
    if document.problem:
        code = PlatformCode.RESULT_REJECTED if document.problem == MISSING else PlatformCode.INTERNAL_ERROR
        raise ResultRejected(f'{path} {document.reason}', code)
    return parse_mining_result(document.text)
