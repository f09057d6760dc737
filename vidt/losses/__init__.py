"""Matching of predictions with objects and the losses that follow from it."""

from .criterion import ViDTCriterion

__all__ = ['ViDTCriterion']
