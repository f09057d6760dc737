"""How good a trained detector is, class by class: numbers, tables and pictures of one validation."""
