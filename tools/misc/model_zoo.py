"""Writes the document of all models: python tools/misc/model_zoo.py [--out docs/model_zoo.md]."""

import sys

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split

from mmyolo.tools.analysis.model_zoo import main

if __name__ == '__main__':
    sys.exit(main())
