"""What mmdeploy finds here, held by a package of its name with the parts that are used of it."""

import importlib
import sys
import textwrap

import pytest
import torch
from mmengine.config import Config, ConfigDict

from mmyolo.registry import MODELS
from tests.mmyolo.models.heads import FAMILIES, build, features

FILES = {
    '__init__.py': '',
    'utils/__init__.py': """
        from enum import Enum
        Codebase = Enum('Codebase', dict(MMDET='mmdet', MMYOLO='mmyolo'))
        Task = Enum('Task', dict(OBJECT_DETECTION='ObjectDetection'))
    """,
    'codebase/__init__.py': """
        import importlib
        from .base import CODEBASE
        def import_codebase(codebase, modules):
            for module in modules:
                importlib.import_module(module)
            found = CODEBASE.build(dict(type=codebase.value))
            found.register_all_modules()
            return found
    """,
    'codebase/base/__init__.py': """
        from mmengine.registry import Registry
        CODEBASE = Registry('Codebases')
        class MMCodebase:
            task_registry = None
    """,
    'codebase/mmdet/__init__.py': """
        def get_post_processing_params(cfg):
            return cfg['codebase_config']['post_processing']
    """,
    'codebase/mmdet/deploy/__init__.py': """
        class ObjectDetection:
            def __init__(self, model_cfg, deploy_cfg, device):
                self.model_cfg, self.deploy_cfg, self.device = model_cfg, deploy_cfg, device
            def get_visualizer(self, name, save_dir):
                from types import SimpleNamespace
                return SimpleNamespace(dataset_meta=None)
    """,
    'codebase/mmdet/models/__init__.py': '',
    'codebase/mmdet/ops/__init__.py': '',
    'codebase/mmdet/structures/__init__.py': '',
    'core/__init__.py': """
        from types import SimpleNamespace
        class FUNCTION_REWRITER:
            rewriters, cfg = {}, {}
            @classmethod
            def register_rewriter(cls, func_name, backend='default'):
                return lambda function: cls.rewriters.setdefault((func_name, backend), function)
            @classmethod
            def get_context(cls):
                return SimpleNamespace(cfg=cls.cfg)
        def mark(name, inputs, outputs):
            return lambda function: function
    """,
    'mmcv/__init__.py': '',
    'mmcv/ops/__init__.py': '',
    'mmcv/ops/nms.py': """
        def multiclass_nms(*args, **kwargs):
            return args, kwargs
    """,
}
HEAD = 'mmyolo.models.dense_heads.yolov5_head.'
CFG = ConfigDict(
    codebase_config={
        'post_processing': {
            'max_output_boxes_per_class': 200,
            'iou_threshold': 0.5,
            'score_threshold': 0.05,
            'pre_top_k': 5000,
            'keep_top_k': 100,
        }
    }
)


@pytest.fixture
def mmdeploy(tmp_path, monkeypatch):
    """The stand-in, and `mmyolo.deploy` as it is imported beside it."""
    for name, text in FILES.items():
        path = tmp_path / 'mmdeploy' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(str(tmp_path))
    before = {name: module for name, module in sys.modules.items() if name.startswith(('mmdeploy', 'mmyolo.deploy'))}
    for name in before:
        monkeypatch.delitem(sys.modules, name)
    yield importlib.import_module('mmdeploy')
    for name in [name for name in sys.modules if name.startswith(('mmdeploy', 'mmyolo.deploy'))]:
        del sys.modules[name]
    sys.modules.update(before)


def codebase():
    from mmdeploy.codebase import import_codebase
    from mmdeploy.utils import Codebase

    return import_codebase(Codebase.MMYOLO, ['mmyolo.deploy'])


def rewriter(name, backend='default'):
    from mmdeploy.core import FUNCTION_REWRITER

    FUNCTION_REWRITER.cfg = ConfigDict(CFG)
    return FUNCTION_REWRITER.rewriters[HEAD + name, backend]


def test_the_codebase_is_found(mmdeploy):
    found = codebase()
    assert type(found).__name__ == 'MMYOLO' and type(found).__module__ == 'mmyolo.deploy.task'
    assert found.task_registry.module_dict['ObjectDetection'].__name__ == 'YOLOObjectDetection'
    import mmyolo.deploy

    assert isinstance(found, mmyolo.deploy.MMCodebase)


def test_the_task_builds_a_detector_and_knows_its_classes(mmdeploy, tmp_path):
    cfg = Config.fromfile('configs/yolov6/yolov6_n_syncbn_fast_8xb32-400e_coco.py')
    cfg.model.backbone.init_cfg = None
    weights = MODELS.build(cfg.model).state_dict()
    torch.save({'state_dict': weights}, tmp_path / 'weights.pth')
    task = codebase().task_registry.build(
        {'type': 'ObjectDetection', 'model_cfg': cfg, 'deploy_cfg': CFG, 'device': 'cpu'}
    )
    model = task.build_pytorch_model(str(tmp_path / 'weights.pth'))
    assert not model.training and model.backbone.stem.deploy
    key = 'bbox_head.head_module.cls_preds.0.weight'
    assert torch.equal(model.state_dict()[key], weights[key])
    assert task.get_visualizer('one', str(tmp_path)).dataset_meta['classes'][:2] == ('person', 'bicycle')


@pytest.mark.parametrize('family', [family for family in FAMILIES if not family.endswith('_ins')])
def test_all_boxes_of_the_heads(mmdeploy, family):
    codebase()
    predict = rewriter('YOLOv5Head.predict_by_feat')
    head = build(family).eval()
    with torch.no_grad():
        boxes, scores = predict(head, *head(features(family)), with_nms=False)
        raw_boxes, raw_scores = predict(head, *head.forward_raw(features(family)), with_nms=False)
        found = head.predict_batch(
            head(features(family)),
            [{'ori_shape': (1000, 1000), 'scale_factor': (1, 1)}] * 2,
            dict(head.test_cfg, nms=None, score_thr=0.0, nms_pre=10**6, max_per_img=-1),
            rescale=False,
        )
    torch.testing.assert_close((boxes, scores), (raw_boxes, raw_scores))
    assert boxes.shape == (2, 84 * head.num_base_priors, 4) and scores.shape == (*boxes.shape[:2], 3)
    where = found.images, found.priors
    torch.testing.assert_close(boxes[where].clamp(0, 1000), found.bboxes, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(scores[(*where, found.labels)], found.scores, rtol=1e-4, atol=1e-6)


def test_options_of_suppression(mmdeploy):
    codebase()
    predict, head = rewriter('YOLOv5Head.predict_by_feat'), build('yolov8').eval()
    (_, _, *options), kwargs = predict(head, *head(features('yolov8')))
    assert options == [200, 0.65, 0.01, 5000, 30] and kwargs == {}
    (_, _, *options), _ = predict(head, *head(features('yolov8')), cfg=ConfigDict(nms={'type': 'nms'}))
    assert options == [200, 0.5, 0.05, 5000, 100]


@pytest.mark.parametrize('family, coding', [('yolov5', 1), ('yolov8', 0)])
def test_suppression_by_the_plugin(mmdeploy, family, coding, monkeypatch):
    codebase()
    predict, head = rewriter('YOLOv5Head.predict_by_feat'), build(family).eval()
    from mmdeploy.core import FUNCTION_REWRITER

    FUNCTION_REWRITER.cfg = ConfigDict(CFG, use_efficientnms=True)
    rewriters = sys.modules['mmyolo.deploy.models.dense_heads.rewriters']
    calls = []
    monkeypatch.setattr(rewriters, 'efficient_nms', lambda *args, **kwargs: calls.append((args, kwargs)))
    predict(head, *head(features(family)))
    (boxes, *_), kwargs = calls[0]
    assert kwargs.get('box_coding', 0) == coding
    FUNCTION_REWRITER.cfg = CFG
    corners, _ = predict(head, *head(features(family)), with_nms=False)
    if coding:
        boxes = torch.cat((boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2), -1)
    torch.testing.assert_close(boxes, corners, rtol=1e-4, atol=1e-3)


def test_raw_maps_for_rknn(mmdeploy):
    codebase()
    head = build('yolov5').eval()
    maps = rewriter('YOLOv5HeadModule.forward', 'rknn')(head.head_module, features('yolov5'))
    assert [tuple(level.shape) for level in maps] == [(2, 24, 8, 8), (2, 24, 4, 4), (2, 24, 2, 2)]
    torch.testing.assert_close(
        rewriter('YOLOv5Head.predict', 'rknn')(head, features('yolov5'), None)[0], head(features('yolov5'))[0]
    )
