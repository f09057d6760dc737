"""From other formats to those that are used here: checkpoints, data sets."""
