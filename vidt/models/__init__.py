"""The networks: backbone with detection tokens, fusion, decoder, heads, and the detectors made of them."""

from .detector import ViDT
from .detector_without_neck import ViDTWithoutNeck
from .swin_ram import SwinWithRAM

__all__ = ['SwinWithRAM', 'ViDT', 'ViDTWithoutNeck']
