"""Stand-in of the platform's module: `from aiUtils import aiUtils`, as its scripts write."""
