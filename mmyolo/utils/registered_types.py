"""Which classes are registered under a name, looked up without importing anything for it.

`Registry.get` of mmengine imports whatever a name that it does not know says (`os.system`, `mmengine.rmtree`) and takes
what it finds. Here a name that is not registered is nothing.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from mmengine import registry as engine
from mmengine.registry import Registry

OWN_SCOPE = 'mmyolo'
# Name of a registry, such as 'task util', to its root.
ROOTS = {value.name: value for value in vars(engine).values() if isinstance(value, Registry)}
# mmcv evaluates the type of a suppression of boxes as an expression.
NMS_TYPES = ('nms', 'soft_nms', 'nms_rotated')


def find_registered(name: Any, registries: Sequence[str]) -> Any | None:
    """Look a name up as mmengine does in the scope `mmyolo`, but import nothing for it.

    Args:
        name: `Name`, or `scope.Name` with a scope such as `mmdet`.
        registries: Names of registries; the first that knows the name gives it.

    Returns:
        The registered class or function, None if there is none of this name.
    """
    if not isinstance(name, str):
        return None
    scope, _, plain = name.rpartition('.')
    for root in (ROOTS[registry] for registry in registries):
        known = {registry.scope: registry for registry in registry_tree(root)}
        if scope:
            places = [known[scope]] if scope in known else []
        else:
            places = [known[OWN_SCOPE]] if OWN_SCOPE in known else []
            places.append(root)
        for registry in places:
            registry.import_from_location()  # of the package itself, whatever the name is
            if plain in registry.module_dict:
                return registry.module_dict[plain]
    return None


def registry_tree(registry: Registry) -> Iterator[Registry]:
    """Return a registry, its children and theirs."""
    yield registry
    for child in list(registry.children.values()):
        yield from registry_tree(child)
