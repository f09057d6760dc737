"""The script that applies a trained network to a picture; the parameters and results are those of Predict.py."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import Predict  # noqa: E402
import train  # noqa: E402

if __name__ == '__main__':
    train.leave(Predict.main())
