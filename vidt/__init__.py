"""ViDT and ViDT+ (arXiv 2110.03921, 2204.07962): a Swin backbone with detection tokens, registered in mmdet."""

from .operators import allow_missing_operators

allow_missing_operators()  # before anything imports mmdet's models

# isort: split
from . import datasets, losses, models, optim  # noqa: E402

__all__ = ['datasets', 'losses', 'models', 'optim']
