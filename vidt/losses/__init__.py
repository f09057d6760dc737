"""Matching of predictions with objects and the losses that follow from it."""
