"""ViDT and ViDT+ (arXiv 2110.03921, 2204.07962): a Swin backbone with detection tokens, registered in mmdet."""

from . import datasets, distillation, losses, models, optim

__all__ = ['datasets', 'distillation', 'losses', 'models', 'optim']
