"""Where the project lies: configs and tools stand beside the packages."""

from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[1]
