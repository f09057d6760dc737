"""Every test of ViDT starts alike."""

import mmyolo  # noqa: F401  before mmdet, whose modules ask for the operators that it brings
