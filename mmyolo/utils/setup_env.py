"""Makes every name of the package known to the registries."""

import datetime
import warnings

from mmengine.registry import DefaultScope

SCOPE = 'mmyolo'


def register_all_modules(init_default_scope: bool = True) -> None:
    """Import every module that registers something.

    Args:
        init_default_scope: whether names without a prefix are looked up here from now on. A warning says if another
            package's scope was in force.
    """
    import mmdet.engine  # noqa: F401
    import mmdet.visualization  # noqa: F401

    import mmyolo.datasets  # noqa: F401
    import mmyolo.engine  # noqa: F401
    import mmyolo.models  # noqa: F401

    if not init_default_scope:
        return
    current = DefaultScope.get_current_instance()
    if current is None or not DefaultScope.check_instance_created(SCOPE):
        DefaultScope.get_instance(SCOPE, scope_name=SCOPE)
    elif current.scope_name != SCOPE:
        warnings.warn(
            f'The current default scope "{current.scope_name}" is not "{SCOPE}"; '
            f'register_all_modules makes it "{SCOPE}". Pass init_default_scope=False to leave it.'
        )
        # instances are kept by name for the life of the process
        DefaultScope.get_instance(f'{SCOPE}-{datetime.datetime.now()}', scope_name=SCOPE)
