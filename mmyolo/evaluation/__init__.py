"""Metrics of validation and test."""

from .coco_metric import FastCocoMetric
from .dota_metric import DOTAMetric
from .keypoint_metric import KeypointCocoMetric

__all__ = ['DOTAMetric', 'FastCocoMetric', 'KeypointCocoMetric']
