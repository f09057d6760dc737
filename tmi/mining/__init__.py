"""Mining: which images are worth labelling next. One file for each algorithm."""

from tmi.mining.aldd import Aldd
from tmi.mining.algorithm import Algorithm
from tmi.mining.cald import Cald
from tmi.mining.cald_legacy import CaldLegacy
from tmi.mining.dcus import Dcus
from tmi.mining.entropy import Entropy
from tmi.mining.entropy_legacy import EntropyLegacy
from tmi.mining.hybrid import Hybrid
from tmi.mining.lius import Lius
from tmi.mining.random import Random

# mining_algorithm to its class; settings, template, help and documents follow from it.
ALGORITHMS: dict[str, type[Algorithm]] = {
    'hybrid': Hybrid,
    'entropy': Entropy,
    'dcus': Dcus,
    'lius': Lius,
    'aldd': Aldd,
    'cald': Cald,
    'random': Random,
    'entropy_legacy': EntropyLegacy,
    'cald_legacy': CaldLegacy,
}
DEFAULT_ALGORITHM = 'hybrid'
