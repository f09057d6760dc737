"""Training, mining and inference without any platform."""
