"""The script that evaluates a trained network on a picture: writes what it finds in it to output/picture/.

It begins as train.py does, which lies beside it.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import train  # noqa: E402

# Module -> what pip calls it.
NEEDED = (('rasterio', 'rasterio'),)


def main():
    """Predict; the exit status is 0 only if there is a result."""
    return train.main('pie.prediction', NEEDED)


if __name__ == '__main__':
    train.leave(main())
