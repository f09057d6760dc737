"""Every name of the public mmyolo 0.6.0 that other code imports or a config names is here, at its path."""

from importlib import import_module

import pytest

from mmyolo import registry
from mmyolo.utils import register_all_modules

TRANSFORMS = """YOLOv5KeepRatioResize LetterResize Mosaic YOLOXMixUp YOLOv5MixUp YOLOv5HSVRandomAug LoadAnnotations
    YOLOv5RandomAffine PPYOLOERandomDistort PPYOLOERandomCrop Mosaic9 YOLOv5CopyPaste RemoveDataElement
    RegularizeRotatedBox Polygon2Mask PackDetInputs RandomAffine RandomFlip Resize FilterAnnotations"""
HOOKS = 'YOLOv5ParamSchedulerHook YOLOXModeSwitchHook SwitchToDeployHook PPYOLOEParamSchedulerHook'
OPTIMIZERS = 'YOLOv5OptimizerConstructor YOLOv7OptimWrapperConstructor'
BACKBONES = """YOLOv5CSPDarknet BaseBackbone YOLOv6EfficientRep YOLOv6CSPBep YOLOXCSPDarknet CSPNeXt YOLOv7Backbone
    PPYOLOECSPResNet YOLOv8CSPDarknet"""
PREPROCESSORS = """YOLOv5DetDataPreprocessor PPYOLOEDetDataPreprocessor PPYOLOEBatchRandomResize
    YOLOXBatchSyncRandomResize"""
HEADS = """YOLOv5Head YOLOv6Head YOLOXHead YOLOv5HeadModule YOLOv6HeadModule YOLOXHeadModule RTMDetHead
    RTMDetSepBNHeadModule YOLOv7Head PPYOLOEHead PPYOLOEHeadModule YOLOv7HeadModule YOLOv7p6HeadModule YOLOv8Head
    YOLOv8HeadModule RTMDetRotatedHead RTMDetRotatedSepBNHeadModule RTMDetInsSepBNHead RTMDetInsSepBNHeadModule
    YOLOv5InsHead YOLOv5InsHeadModule YOLOXPoseHead YOLOXPoseHeadModule"""
LAYERS = """SPPFBottleneck RepVGGBlock RepStageBlock ExpMomentumEMA ELANBlock MaxPoolAndStrideConvBlock SPPFCSPBlock
    PPYOLOEBasicBlock EffectiveSELayer TinyDownSampleBlock EELANBlock ImplicitA ImplicitM BepC3StageBlock
    CSPLayerWithTwoConv DarknetBottleneck BiFusion"""
LOSSES = 'IoULoss bbox_overlaps OksLoss'
NECKS = """YOLOv5PAFPN BaseYOLONeck YOLOv6RepPAFPN YOLOXPAFPN CSPNeXtPAFPN YOLOv7PAFPN PPYOLOECSPPAFPN YOLOv6CSPRepPAFPN
    YOLOv8PAFPN YOLOv6RepBiPAFPN YOLOv6CSPRepBiPAFPN"""
TASK_MODULES = 'YOLOv5BBoxCoder YOLOXBBoxCoder BatchATSSAssigner BatchTaskAlignedAssigner'

# module -> names that it exports
EXPORTS = {
    'mmyolo': '__version__ version_info digit_version',
    'mmyolo.version': '__version__ short_version version_info parse_version_info',
    'mmyolo.datasets': f"""YOLOv5CocoDataset YOLOv5VOCDataset BatchShapePolicy yolov5_collate YOLOv5CrowdHumanDataset
        YOLOv5DOTADataset PoseCocoDataset {TRANSFORMS}""",
    'mmyolo.datasets.transforms': TRANSFORMS,
    'mmyolo.engine': f'{HOOKS} {OPTIMIZERS}',
    'mmyolo.engine.hooks': HOOKS,
    'mmyolo.engine.optimizers': OPTIMIZERS,
    'mmyolo.models': f"""{BACKBONES} {PREPROCESSORS} {HEADS} YOLODetector {LAYERS} {LOSSES} {NECKS} CBAM {TASK_MODULES}
        utils""",
    'mmyolo.models.backbones': BACKBONES,
    'mmyolo.models.data_preprocessors': PREPROCESSORS,
    'mmyolo.models.dense_heads': HEADS,
    'mmyolo.models.detectors': 'YOLODetector',
    'mmyolo.models.layers': LAYERS,
    'mmyolo.models.losses': LOSSES,
    'mmyolo.models.necks': NECKS,
    'mmyolo.models.plugins': 'CBAM',
    'mmyolo.models.task_modules': TASK_MODULES,
    'mmyolo.models.task_modules.assigners': """BatchATSSAssigner BatchTaskAlignedAssigner select_candidates_in_gts
        select_highest_overlaps yolov6_iou_calculator BatchDynamicSoftLabelAssigner PoseSimOTAAssigner""",
    'mmyolo.models.task_modules.coders': """YOLOv5BBoxCoder YOLOXBBoxCoder DistancePointBBoxCoder
        DistanceAnglePointCoder""",
    'mmyolo.models.utils': """make_divisible make_round gt_instances_preprocess OutputSaveFunctionWrapper
        OutputSaveObjectWrapper""",
    'mmyolo.registry': """RUNNERS RUNNER_CONSTRUCTORS LOOPS HOOKS DATASETS DATA_SAMPLERS TRANSFORMS MODELS
        MODEL_WRAPPERS WEIGHT_INITIALIZERS OPTIMIZERS OPTIM_WRAPPERS PARAM_SCHEDULERS OPTIM_WRAPPER_CONSTRUCTORS
        METRICS TASK_UTILS VISUALIZERS VISBACKENDS""",
    'mmyolo.testing': 'get_detector_cfg',
    'mmyolo.testing._utils': 'get_detector_cfg _get_config_directory _get_config_module _rand_bboxes',
    'mmyolo.utils': 'register_all_modules collect_env switch_to_deploy is_metainfo_lower',
}

# their names are attributes; public code does not import them with a star
ATTRIBUTES_ONLY = ('mmyolo.models', 'mmyolo.registry', 'mmyolo.datasets', 'mmyolo.version', 'mmyolo.testing._utils')

# module -> names that other code imports by their full path
FULL_PATHS = {
    'mmyolo.models.backbones.base_backbone': 'BaseBackbone',
    'mmyolo.models.backbones.csp_darknet': 'YOLOv5CSPDarknet YOLOXCSPDarknet YOLOv8CSPDarknet',
    'mmyolo.models.backbones.csp_resnet': 'PPYOLOECSPResNet',
    'mmyolo.models.backbones.efficient_rep': 'YOLOv6EfficientRep YOLOv6CSPBep',
    'mmyolo.models.backbones.yolov7_backbone': 'YOLOv7Backbone',
    'mmyolo.models.dense_heads.ppyoloe_head': 'PPYOLOEHead PPYOLOEHeadModule',
    'mmyolo.models.dense_heads.yolov6_head': 'YOLOv6Head YOLOv6HeadModule',
    'mmyolo.models.necks.base_yolo_neck': 'BaseYOLONeck',
    'mmyolo.models.necks.ppyoloe_csppan': 'PPYOLOECSPPAFPN',
    'mmyolo.models.necks.yolov6_pafpn': 'YOLOv6RepPAFPN YOLOv6CSPRepPAFPN YOLOv6RepBiPAFPN YOLOv6CSPRepBiPAFPN',
    'mmyolo.models.necks.yolov7_pafpn': 'YOLOv7PAFPN',
    'mmyolo.datasets.utils': 'BatchShapePolicy yolov5_collate',
    'mmyolo.datasets.yolov5_coco': 'YOLOv5CocoDataset BatchShapePolicyDataset',
    'mmyolo.datasets.yolov5_voc': 'YOLOv5VOCDataset',
    'mmyolo.datasets.transforms.keypoint_structure': 'Keypoints',
    'mmyolo.datasets.transforms.mix_img_transforms': 'BaseMixImageTransform Mosaic Mosaic9 YOLOv5MixUp YOLOXMixUp',
    'mmyolo.datasets.transforms.transforms': """LetterResize LoadAnnotations YOLOv5HSVRandomAug YOLOv5KeepRatioResize
        YOLOv5RandomAffine PPYOLOERandomCrop PPYOLOERandomDistort YOLOv5CopyPaste RemoveDataElement RegularizeRotatedBox
        Polygon2Mask FilterAnnotations RandomAffine RandomFlip Resize""",
    'mmyolo.engine.hooks.yolov5_param_scheduler_hook': 'YOLOv5ParamSchedulerHook linear_fn cosine_fn',
    'mmyolo.models.dense_heads.yolov5_head': 'YOLOv5Head YOLOv5HeadModule get_prior_xy_info',
    'mmyolo.models.dense_heads.yolov5_ins_head': 'ProtoModule YOLOv5InsHead YOLOv5InsHeadModule',
    'mmyolo.models.dense_heads.yolov7_head': 'ImplicitA ImplicitM YOLOv7Head',
    'mmyolo.models.dense_heads.rtmdet_ins_head': 'MaskFeatModule RTMDetInsSepBNHead',
    'mmyolo.models.layers.yolo_bricks': f"""{LAYERS.replace('ExpMomentumEMA', '')} BottleRep ConvWrapper PPYOLOESELayer
        CSPResLayer CSPSPPFBottleneck""",
    'mmyolo.models.layers.ema': 'ExpMomentumEMA',
    'mmyolo.models.utils.misc': """make_divisible make_round gt_instances_preprocess OutputSaveFunctionWrapper
        OutputSaveObjectWrapper""",
    'mmyolo.models.plugins.cbam': 'CBAM ChannelAttention SpatialAttention',
    'mmyolo.models.task_modules.assigners.batch_yolov7_assigner': 'BatchYOLOv7Assigner',
    'mmyolo.models.task_modules.assigners.batch_atss_assigner': 'BatchATSSAssigner bbox_center_distance',
    'mmyolo.models.task_modules.assigners.batch_dsl_assigner': """BatchDynamicSoftLabelAssigner find_inside_points
        get_box_center""",
    'mmyolo.models.task_modules.assigners.utils': """select_candidates_in_gts select_highest_overlaps
        yolov6_iou_calculator""",
    'mmyolo.utils.boxam_utils': """init_detector reshape_transform BoxAMDetectorWrapper BoxAMDetectorVisualizer
        DetAblationLayer DetBoxScoreTarget SpatialBaseCAM GradCAM GradCAMPlusPlus""",
    'mmyolo.utils.collect_env': 'collect_env',
    'mmyolo.utils.labelme_utils': 'LabelmeFormat',
    'mmyolo.utils.large_image': 'shift_rbboxes shift_predictions merge_results_by_nms',
    'mmyolo.utils.misc': """IMG_EXTENSIONS get_file_list auto_arrange_images show_data_classes switch_to_deploy
        is_metainfo_lower""",
    'mmyolo.utils.setup_env': 'register_all_modules',
}

# registry -> names
REGISTERED = {
    'HOOKS': HOOKS,
    'DATASETS': 'PoseCocoDataset YOLOv5CocoDataset YOLOv5CrowdHumanDataset YOLOv5DOTADataset YOLOv5VOCDataset',
    'TRANSFORMS': f'Compose {TRANSFORMS}',
    'MODELS': f"""{BACKBONES} {PREPROCESSORS} {HEADS} YOLODetector {NECKS} CBAM BepC3StageBlock ConvWrapper EELANBlock
        ELANBlock EffectiveSELayer ExpMomentumEMA IoULoss OksLoss PPYOLOEBasicBlock RepStageBlock RepVGGBlock
        SPPFCSPBlock SiLU TinyDownSampleBlock""",
    'OPTIM_WRAPPER_CONSTRUCTORS': OPTIMIZERS,
    'TASK_UTILS': """BatchATSSAssigner BatchDynamicSoftLabelAssigner BatchShapePolicy BatchTaskAlignedAssigner
        DistanceAnglePointCoder DistancePointBBoxCoder PoseSimOTAAssigner YOLOXBBoxCoder YOLOv5BBoxCoder""",
}

# mmyolo.deploy plugs into mmdeploy and is never imported by the package itself
DEPLOY = {
    'mmyolo.deploy': 'MMCodebase MMYOLO YOLOObjectDetection',
    'mmyolo.deploy.models.dense_heads': 'yolov5_head',
    'mmyolo.deploy.models.layers': 'efficient_nms',
    'mmyolo.deploy.models.dense_heads.yolov5_head': 'yolov5_bbox_decoder',
    'mmyolo.deploy.models.layers.bbox_nms': 'TRTEfficientNMSop',
}


# public path -> where its names are defined: what only the tools and demos need
MOVED = {
    'mmyolo.utils.boxam_utils': 'mmyolo.tools.demo.boxam_utils',
    'mmyolo.utils.labelme_utils': 'mmyolo.tools.demo.labelme_utils',
    'mmyolo.utils.large_image': 'mmyolo.tools.demo.large_image',
}


def missing_from(module, names):
    module = import_module(module)
    return [name for name in names.split() if not hasattr(module, name)]


@pytest.mark.parametrize('module', [*EXPORTS, *FULL_PATHS])
def test_module(module):
    names = EXPORTS.get(module) or FULL_PATHS[module]
    assert missing_from(module, names) == []


@pytest.mark.parametrize('module', MOVED)
def test_moved_names_are_the_same_objects(module):
    public, place = import_module(module), import_module(MOVED[module])
    assert [name for name in FULL_PATHS[module].split() if getattr(public, name) is not getattr(place, name)] == []


@pytest.mark.parametrize('module', [name for name in EXPORTS if name not in ATTRIBUTES_ONLY])
def test_star_import(module):
    """`from <module> import *` gives the public names too."""
    namespace = {}
    exec(f'from {module} import *', namespace)
    wanted = [name for name in EXPORTS[module].split() if not name.startswith('_') or name == '__version__']
    assert [name for name in wanted if name not in namespace] == []


@pytest.mark.parametrize('name', REGISTERED)
def test_registry(name):
    register_all_modules()
    known = getattr(registry, name).module_dict
    assert [entry for entry in REGISTERED[name].split() if entry not in known] == []


@pytest.mark.parametrize('name', EXPORTS['mmyolo.registry'].split())
def test_registries_are_children_in_the_scope(name):
    import mmengine.registry as root

    assert getattr(registry, name).scope == 'mmyolo'
    assert getattr(registry, name).parent is getattr(root, name)


@pytest.mark.parametrize('module', DEPLOY)
def test_deploy(module):
    assert missing_from(module, DEPLOY[module]) == []
