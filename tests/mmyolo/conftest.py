"""A file that imports mmdet first can be run alone: mmyolo brings the operators that mmdet's modules ask for."""
import mmyolo  # noqa: F401
