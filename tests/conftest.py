"""As this folder is a package, pytest puts the repository root on the path, so helpers import as ``tests.<folder>``."""
