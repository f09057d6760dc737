"""What the published implementation does around the network: sizes, pixels, codes, learning rates and more."""

import gzip
import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / 'numbers/recipe.json.gz'


def recipe(section: str) -> Any:
    """Numbers of one section."""
    return json.loads(gzip.decompress(FILE.read_bytes()))[section]
