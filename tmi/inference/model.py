"""Building the network of a model package, with its weights."""

import logging
from collections.abc import Sequence

from mmengine.config import ConfigDict
from mmengine.model import revert_sync_batchnorm
from torch import nn

from mmyolo.registry import MODELS
from mmyolo.utils import register_all_modules
from mmyolo.utils.config_types import registered_only
from mmyolo.utils.model_size import limited_size
from tmi.checkpoint_io import check_finite
from tmi.class_names import listing
from tmi.errors import ModelError, settings_file
from tmi.inference.package import ModelPackage, fault_of_package

logger = logging.getLogger('tmi')


def build_model(package: ModelPackage, class_names: Sequence[str]) -> nn.Module:
    """Build the network of a package with its weights.

    Args:
        package: What `read_package` gives.
        class_names: Of the task.

    Returns:
        The detector in fp32 on the CPU, in eval mode.

    Raises:
        TaskError: 300004 if config, weights and class names do not belong together.
    """
    register_all_modules()
    with fault_of_package(f'The config of {package.source} describes no detector that this image can build', package):
        config = ConfigDict(package.model)
        config.pop('train_cfg', None)
        with registered_only(), limited_size(package.state_dict.values()):
            model = revert_sync_batchnorm(MODELS.build(config))
        num_classes = package.family.num_classes(model)
    if num_classes != len(class_names):
        own = f' ({listing(package.class_names)})' if package.class_names else ''
        raise ModelError(
            f'{package.source} was trained for {num_classes} classes{own}, and class_names in {settings_file()} has '
            f'{len(class_names)}: {listing(class_names)}. Choose the model that these names belong to, or import it '
            'again with its own class names.'
        )
    _load_weights(model, package)
    return model.eval().requires_grad_(False)


def _load_weights(model: nn.Module, package: ModelPackage) -> None:
    try:
        missing, unexpected = model.load_state_dict(package.state_dict, strict=False)
    except RuntimeError as error:  # a shape differs
        detail = str(error).splitlines()[-1].strip()
        raise ModelError(f'The weights {package.source} do not fit their config: {detail}') from error
    missing = [name for name in missing if not name.endswith('num_batches_tracked')]
    if missing:
        raise ModelError(
            f'The weights {package.source} do not fit their config: {len(missing)} tensors are missing, '
            f'the first is {missing[0]}. Import weights and config of the same training.'
        )
    if unexpected:
        logger.info('%d tensors of %s are not used, the first is %s', len(unexpected), package.source, unexpected[0])
    check_finite(
        {name: value for name, value in model.state_dict().items() if name in package.state_dict}, package.source
    )
