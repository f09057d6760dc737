"""The codebase and the task by which mmdeploy exports the detectors; needs mmdeploy."""

from copy import deepcopy

from mmdeploy.codebase.base import CODEBASE, MMCodebase
from mmdeploy.codebase.mmdet.deploy import ObjectDetection
from mmdeploy.utils import Codebase, Task
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import Registry
from mmengine.runner.checkpoint import load_state_dict
from mmengine.visualization import Visualizer
from torch import nn

from mmyolo.registry import DATASETS, MODELS
from mmyolo.utils import register_all_modules, switch_to_deploy
from mmyolo.utils.checkpoint import read_as_data

MMYOLO_TASK = Registry('mmyolo_tasks')


@CODEBASE.register_module(Codebase.MMYOLO.value)
class MMYOLO(MMCodebase):
    """The codebase of mmyolo."""

    task_registry = MMYOLO_TASK

    @classmethod
    def register_deploy_modules(cls) -> None:
        """Register what stands in for parts of the detectors while they are traced."""
        import mmdeploy.codebase.mmdet.models  # noqa: F401
        import mmdeploy.codebase.mmdet.ops  # noqa: F401
        import mmdeploy.codebase.mmdet.structures  # noqa: F401

        import mmyolo.deploy.models.dense_heads.rewriters  # noqa: F401

    @classmethod
    def register_all_modules(cls) -> None:
        """Register all classes of mmyolo and mmdet, and what stands in for them."""
        from mmdet.utils import register_all_modules as register_mmdet

        cls.register_deploy_modules()
        register_all_modules(True)
        register_mmdet(False)


@MMYOLO_TASK.register_module(Task.OBJECT_DETECTION.value)
class YOLOObjectDetection(ObjectDetection):
    """The task of object detection; arguments as of mmdeploy's."""

    def get_visualizer(self, name: str, save_dir: str) -> Visualizer:
        """Give what draws results, with the names and colours of the classes.

        Args:
            name: its name.
            save_dir: folder of its pictures.
        """
        visualizer = super().get_visualizer(name, save_dir)
        metainfo = self._metainfo()
        if metainfo is not None:
            visualizer.dataset_meta = metainfo
        return visualizer

    def _metainfo(self) -> dict | None:
        for split in ('test', 'val', 'train'):
            dataset = self.model_cfg.get(f'{split}_dataloader', {}).get('dataset')
            dataset_class = None if dataset is None else DATASETS.get(dataset.type)
            if hasattr(dataset_class, '_load_metainfo'):
                return dataset_class._load_metainfo(dataset.get('metainfo'))
        return None

    def build_pytorch_model(
        self, model_checkpoint: str | None = None, cfg_options: dict | None = None, **kwargs
    ) -> nn.Module:
        """Build the detector in the form in which it is exported.

        Args:
            model_checkpoint: file of its weights; random ones without.
            cfg_options: not used, as in mmdeploy.
            **kwargs: not used.

        Returns:
            The detector on the task's device.
        """
        model = deepcopy(self.model_cfg.model)
        preprocess = deepcopy(self.model_cfg.get('preprocess_cfg', {}))
        preprocess.update(deepcopy(self.model_cfg.get('data_preprocessor', {})))
        model.setdefault('data_preprocessor', preprocess)
        model = MODELS.build(model)
        if model_checkpoint is not None:
            checkpoint = read_as_data(model_checkpoint)
            load_state_dict(model, checkpoint.get('state_dict', checkpoint))
        model = revert_sync_batchnorm(model)
        switch_to_deploy(model)
        return model.to(self.device).eval()
