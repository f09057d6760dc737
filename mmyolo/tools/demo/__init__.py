"""Predicting, drawing and looking into a network, for the scripts in demo/."""
