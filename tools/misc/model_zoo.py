"""Measures all models, and writes configs/*/metafile.yml and docs/model_zoo.md: python tools/misc/model_zoo.py."""

import sys

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split

from mmyolo.tools.analysis.model_zoo import main

if __name__ == '__main__':
    sys.exit(main())
