"""What the training images of ViDT go through."""

from .transforms import ViDTRandomSizeCrop, ViDTResize

__all__ = ['ViDTRandomSizeCrop', 'ViDTResize']
