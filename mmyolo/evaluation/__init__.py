"""Metrics of validation and test."""
from .coco_metric import FastCocoMetric

__all__ = ['FastCocoMetric']
