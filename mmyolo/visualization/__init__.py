"""Visualizers beside mmdet's."""
from .rot_local_visualizer import RotLocalVisualizer

__all__ = ['RotLocalVisualizer']
