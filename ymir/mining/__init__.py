"""Mining: which images are worth labelling next. One file per scoring rule, one for the order."""

from ymir.mining.entropy import EntropyRule
from ymir.mining.random import RandomRule
from ymir.mining.rule import Rule

# mining_algorithm to its rule; ymir/params.py lists the same names for the user.
RULES: dict[str, type[Rule]] = {'random': RandomRule, 'entropy': EntropyRule}

__all__ = ['RULES', 'EntropyRule', 'RandomRule', 'Rule']
