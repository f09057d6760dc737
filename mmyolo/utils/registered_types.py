"""Which classes a config that somebody sent may name: registered ones, looked up without importing anything.

`Registry.get` of mmengine imports whatever a name that it does not know says (`os.system`, `mmengine.rmtree`) and takes
what it finds. Here a name that is not registered is nothing.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.registry import Registry

OWN_SCOPE = 'mmyolo'
# Registered, but they read files that a setting names as code or as pickles, evaluate text, load from the network, or
# write or remove what a setting says.
UNSAFE_TYPES = frozenset(
    {
        'KnowledgeDistillationSingleStageDetector',
        'LAD',
        'CameraMotionCompensation',
        'AppearanceFreeLink',
        'RFSearchHook',
        'ProfilerHook',
        'NPUProfilerHook',
        'DumpResults',
        'DumpDetResults',
        'DumpProposals',
        'DumpODVGResults',
        'BertModel',
        'ATSSVLFusionHead',
        'RandomSamplingNegPos',
        'DSDLDetDataset',
        'WandbVisBackend',
        'MLflowVisBackend',
        'ClearMLVisBackend',
        'NeptuneVisBackend',
        'DVCLiveVisBackend',
        'AimVisBackend',
        'RefCocoDataset',
        'OpenImagesDataset',
        'OpenImagesChallengeDataset',
        'CrowdHumanDataset',
        'MOTChallengeMetric',
        'CityScapesMetric',
        'COCOCaptionMetric',
        'CocoOccludedSeparatedMetric',
        'Detectron2Wrapper',
    }
)
# mmcv evaluates the type of a suppression of boxes as an expression.
NMS_TYPES = ('nms', 'soft_nms', 'nms_rotated')


def find_registered(name: Any, registries: Sequence[Registry]) -> Any | None:
    """Look a name up as mmengine does in the scope `mmyolo`, but import nothing for it.

    Args:
        name: `Name`, or `scope.Name` with a scope such as `mmdet`.
        registries: Roots of registries, e.g. mmengine's MODELS; the first that knows the name gives it.

    Returns:
        The registered class or function, None if there is none of this name, or if it is one of UNSAFE_TYPES.
    """
    if not isinstance(name, str):
        return None
    scope, _, plain = name.rpartition('.')
    if plain in UNSAFE_TYPES:
        return None
    for root in registries:
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
