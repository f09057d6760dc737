"""Turns checkpoints of other projects into checkpoints of this one."""

from .convert import convert_checkpoint
from .rules import KeyMap, Rename

__all__ = ['KeyMap', 'Rename', 'convert_checkpoint']
