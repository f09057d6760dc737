"""Ends what a local platform has started, also when that platform is killed (`guard.py`)."""
