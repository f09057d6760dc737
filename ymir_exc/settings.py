"""Where the platform puts env.yaml and config.yaml; environment variables override it.

Both are read through the module at each use, so a test or a local runner may assign them.
"""

from __future__ import annotations

import os

DEFAULT_ENV_FILE_PATH = os.environ.get('DEFAULT_ENV_FILE_PATH', '/in/env.yaml')
DEFAULT_CONFIG_FILE_PATH = os.environ.get('DEFAULT_CONFIG_FILE_PATH', '/in/config.yaml')
