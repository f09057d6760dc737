"""Metrics of validation and test."""
from .coco_metric import FastCocoMetric
from .keypoint_metric import KeypointCocoMetric

__all__ = ['FastCocoMetric', 'KeypointCocoMetric']
