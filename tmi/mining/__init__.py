"""Mining: which images are worth labelling next. One file for each scorer."""

from tmi.mining.entropy import EntropyScorer
from tmi.mining.random import RandomScorer
from tmi.mining.scorer import Scorer

# mining_algorithm to its scorer; the settings and the template follow from it.
ALGORITHMS: dict[str, type[Scorer]] = {'random': RandomScorer, 'entropy': EntropyScorer}

__all__ = ['ALGORITHMS', 'EntropyScorer', 'RandomScorer', 'Scorer']
