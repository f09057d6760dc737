"""Switches a config to test-time augmentation."""

from mmengine.config import Config, ConfigDict


def use_tta(cfg: Config) -> None:
    """Wrap the model and replace the pipeline of the test set by those that the config keeps for augmentation.

    Args:
        cfg: A config with `tta_model` and `tta_pipeline`, such as configs/_base_/det_p5_tta.py gives; changed in place.

    Raises:
        ValueError: If it has not both.
    """
    missing = [key for key in ('tta_model', 'tta_pipeline') if key not in cfg]
    if missing:
        raise ValueError(
            f'Test-time augmentation needs {" and ".join(missing)} in the config; '
            "add '../_base_/det_p5_tta.py' to its _base_"
        )
    cfg.model = ConfigDict(cfg.tta_model, module=cfg.model)
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    dataset.pipeline = cfg.tta_pipeline
    if 'batch_shapes_cfg' in dataset:
        dataset.batch_shapes_cfg = None  # every image is seen at several sizes, so none is its batch's
