"""Attention blocks that a config can append to the stages of a backbone."""

from .cbam import CBAM

__all__ = ['CBAM']
