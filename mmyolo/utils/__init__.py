"""Registration, the description of the environment, and what tools share."""

from .collect_env import collect_env
from .deploy import switch_to_deploy
from .misc import is_metainfo_lower
from .setup_env import register_all_modules

__all__ = ['register_all_modules', 'collect_env', 'switch_to_deploy', 'is_metainfo_lower']
