"""Boxes that mmdet does not have: rotated ones and quadrilaterals. Importing registers them as 'rbox' and 'qbox'."""

from .box_conversions import hbox2qbox, hbox2rbox, qbox2hbox, qbox2rbox, rbox2hbox, rbox2qbox, register_converters
from .quadri_boxes import QuadriBoxes
from .rotated_boxes import RotatedBoxes

register_converters()

__all__ = ['QuadriBoxes', 'RotatedBoxes', 'hbox2qbox', 'hbox2rbox', 'qbox2hbox', 'qbox2rbox', 'rbox2hbox', 'rbox2qbox']
