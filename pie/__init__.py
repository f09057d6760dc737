"""Training on PIE-Engine AI: its parameters and data sets are read, `tmi` trains, and what is pushed is written."""
