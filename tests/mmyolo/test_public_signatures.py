"""Arguments of the public classes and methods, by name and in order, with the defaults that are plain values."""

import inspect

import pytest

from mmyolo import datasets, engine, models
from mmyolo.datasets.transforms import keypoint_structure, mix_img_transforms
from mmyolo.engine.hooks import yolov5_param_scheduler_hook
from mmyolo.models import utils
from mmyolo.models.dense_heads import rtmdet_ins_head, yolov5_head, yolov5_ins_head
from mmyolo.models.layers import yolo_bricks
from mmyolo.models.plugins import cbam
from mmyolo.models.task_modules import assigners, coders
from mmyolo.models.task_modules.assigners import batch_atss_assigner, batch_dsl_assigner, batch_yolov7_assigner
from mmyolo.utils import boxam_utils, labelme_utils, large_image, misc

PLACES = (
    models,
    datasets,
    engine,
    utils,
    assigners,
    coders,
    yolo_bricks,
    cbam,
    yolov5_head,
    yolov5_ins_head,
    rtmdet_ins_head,
    batch_atss_assigner,
    batch_dsl_assigner,
    batch_yolov7_assigner,
    keypoint_structure,
    mix_img_transforms,
    yolov5_param_scheduler_hook,
    boxam_utils,
    labelme_utils,
    large_image,
    misc,
)

# A line per class, continued by indentation. `...` stands for further arguments, those behind * come by name.
CONSTRUCTORS = """
BaseBackbone arch_setting deepen_factor=1.0 widen_factor=1.0 input_channels=3 out_indices=(2,3,4) frozen_stages=-1
    plugins=None norm_cfg act_cfg norm_eval=False init_cfg=None
YOLOv5CSPDarknet arch='P5' plugins=None deepen_factor=1.0 widen_factor=1.0 input_channels=3 out_indices=(2,3,4)
    frozen_stages=-1 norm_cfg act_cfg norm_eval=False init_cfg=None
YOLOv8CSPDarknet arch='P5' last_stage_out_channels=1024 plugins=None deepen_factor=1.0 widen_factor=1.0
    input_channels=3 out_indices=(2,3,4) frozen_stages=-1 norm_cfg act_cfg norm_eval=False init_cfg=None
YOLOXCSPDarknet arch='P5' plugins=None deepen_factor=1.0 widen_factor=1.0 input_channels=3 out_indices=(2,3,4)
    frozen_stages=-1 use_depthwise=False spp_kernal_sizes=(5,9,13) norm_cfg act_cfg norm_eval=False init_cfg=None
CSPNeXt arch='P5' deepen_factor=1.0 widen_factor=1.0 input_channels=3 out_indices=(2,3,4) frozen_stages=-1
    plugins=None use_depthwise=False expand_ratio=0.5 arch_ovewrite=None channel_attention=True conv_cfg=None norm_cfg
    act_cfg norm_eval=False init_cfg
YOLOv6EfficientRep arch='P5' plugins=None deepen_factor=1.0 widen_factor=1.0 input_channels=3 out_indices=(2,3,4)
    frozen_stages=-1 use_cspsppf=False norm_cfg act_cfg norm_eval=False block_cfg init_cfg=None
YOLOv6CSPBep arch='P5' plugins=None deepen_factor=1.0 widen_factor=1.0 input_channels=3 hidden_ratio=0.5
    out_indices=(2,3,4) frozen_stages=-1 use_cspsppf=False norm_cfg act_cfg norm_eval=False block_cfg init_cfg=None
YOLOv7Backbone arch='L' deepen_factor=1.0 widen_factor=1.0 input_channels=3 out_indices=(2,3,4) frozen_stages=-1
    plugins=None norm_cfg act_cfg norm_eval=False init_cfg=None
PPYOLOECSPResNet arch='P5' deepen_factor=1.0 widen_factor=1.0 input_channels=3 out_indices=(2,3,4) frozen_stages=-1
    plugins=None arch_ovewrite=None block_cfg norm_cfg act_cfg attention_cfg norm_eval=False init_cfg=None
    use_large_stem=False
BaseYOLONeck in_channels out_channels deepen_factor=1.0 widen_factor=1.0 upsample_feats_cat_first=True
    freeze_all=False norm_cfg act_cfg init_cfg=None
YOLOv5PAFPN in_channels out_channels deepen_factor=1.0 widen_factor=1.0 num_csp_blocks=1 freeze_all=False norm_cfg
    act_cfg init_cfg=None
YOLOv8PAFPN in_channels out_channels deepen_factor=1.0 widen_factor=1.0 num_csp_blocks=3 freeze_all=False norm_cfg
    act_cfg init_cfg=None
YOLOXPAFPN in_channels out_channels deepen_factor=1.0 widen_factor=1.0 num_csp_blocks=3 use_depthwise=False
    freeze_all=False norm_cfg act_cfg init_cfg=None
CSPNeXtPAFPN in_channels out_channels deepen_factor=1.0 widen_factor=1.0 num_csp_blocks=3 freeze_all=False
    use_depthwise=False expand_ratio=0.5 upsample_cfg conv_cfg=None norm_cfg act_cfg init_cfg
YOLOv6RepPAFPN in_channels out_channels deepen_factor=1.0 widen_factor=1.0 num_csp_blocks=12 freeze_all=False norm_cfg
    act_cfg block_cfg init_cfg=None
YOLOv6RepBiPAFPN in_channels out_channels deepen_factor=1.0 widen_factor=1.0 num_csp_blocks=12 freeze_all=False
    norm_cfg act_cfg block_cfg init_cfg=None
YOLOv6CSPRepPAFPN in_channels out_channels deepen_factor=1.0 widen_factor=1.0 hidden_ratio=0.5 num_csp_blocks=12
    freeze_all=False norm_cfg act_cfg block_act_cfg block_cfg init_cfg=None
YOLOv6CSPRepBiPAFPN in_channels out_channels deepen_factor=1.0 widen_factor=1.0 hidden_ratio=0.5 num_csp_blocks=12
    freeze_all=False norm_cfg act_cfg block_act_cfg block_cfg init_cfg=None
YOLOv7PAFPN in_channels out_channels block_cfg deepen_factor=1.0 widen_factor=1.0 spp_expand_ratio=0.5
    is_tiny_version=False use_maxpool_in_downsample=True use_in_channels_in_downsample=False use_repconv_outs=True
    upsample_feats_cat_first=False freeze_all=False norm_cfg act_cfg init_cfg=None
PPYOLOECSPPAFPN in_channels out_channels deepen_factor=1.0 widen_factor=1.0 freeze_all=False num_csplayer=1
    num_blocks_per_layer=3 block_cfg norm_cfg act_cfg drop_block_cfg=None init_cfg=None use_spp=False
YOLOv5HeadModule num_classes in_channels widen_factor=1.0 num_base_priors=3 featmap_strides=(8,16,32) init_cfg=None
YOLOv7HeadModule num_classes in_channels widen_factor=1.0 num_base_priors=3 featmap_strides=(8,16,32) init_cfg=None
YOLOv7p6HeadModule * main_out_channels aux_out_channels use_aux=True norm_cfg act_cfg
YOLOv5InsHeadModule * num_classes mask_channels=32 proto_channels=256 widen_factor=1.0 norm_cfg act_cfg
ProtoModule * in_channels=32 middle_channels=256 mask_channels=32 norm_cfg act_cfg
YOLOv6HeadModule num_classes in_channels widen_factor=1.0 num_base_priors=1 reg_max=0 featmap_strides=(8,16,32)
    norm_cfg act_cfg init_cfg=None
YOLOv8HeadModule num_classes in_channels widen_factor=1.0 num_base_priors=1 featmap_strides=(8,16,32) reg_max=16
    norm_cfg act_cfg init_cfg=None
PPYOLOEHeadModule num_classes in_channels widen_factor=1.0 num_base_priors=1 featmap_strides=(8,16,32) reg_max=16
    norm_cfg act_cfg init_cfg=None
YOLOXHeadModule num_classes in_channels widen_factor=1.0 num_base_priors=1 feat_channels=256 stacked_convs=2
    featmap_strides use_depthwise=False dcn_on_last_conv=False conv_bias='auto' conv_cfg=None norm_cfg act_cfg
    init_cfg=None
YOLOXPoseHeadModule num_keypoints
RTMDetSepBNHeadModule num_classes in_channels widen_factor=1.0 num_base_priors=1 feat_channels=256 stacked_convs=2
    featmap_strides share_conv=True pred_kernel_size=1 conv_cfg=None norm_cfg act_cfg init_cfg=None
RTMDetInsSepBNHeadModule num_classes * num_prototypes=8 dyconv_channels=8 num_dyconvs=3 use_sigmoid_cls=True
RTMDetRotatedSepBNHeadModule num_classes in_channels widen_factor=1.0 num_base_priors=1 feat_channels=256
    stacked_convs=2 featmap_strides share_conv=True pred_kernel_size=1 angle_out_dim=1 ...
MaskFeatModule in_channels feat_channels=256 stacked_convs=4 num_levels=3 num_prototypes=8 act_cfg norm_cfg
YOLOv5Head head_module prior_generator bbox_coder loss_cls loss_bbox loss_obj prior_match_thr=4.0
    near_neighbor_thr=0.5 ignore_iof_thr=-1.0 obj_level_weights train_cfg=None test_cfg=None init_cfg=None
YOLOv5InsHead * mask_overlap=True loss_mask loss_mask_weight=0.05
YOLOv6Head head_module prior_generator bbox_coder loss_cls loss_bbox train_cfg=None test_cfg=None init_cfg=None
YOLOv7Head * simota_candidate_topk=20 simota_iou_weight=3.0 simota_cls_weight=1.0 aux_loss_weights=0.25
YOLOv8Head head_module prior_generator bbox_coder loss_cls loss_bbox loss_dfl train_cfg=None test_cfg=None
    init_cfg=None
PPYOLOEHead head_module prior_generator bbox_coder loss_cls loss_bbox loss_dfl train_cfg=None test_cfg=None
    init_cfg=None
YOLOXHead head_module prior_generator bbox_coder loss_cls loss_bbox loss_obj loss_bbox_aux train_cfg=None
    test_cfg=None init_cfg=None
YOLOXPoseHead loss_pose
RTMDetHead head_module prior_generator bbox_coder loss_cls loss_bbox train_cfg=None test_cfg=None init_cfg=None
RTMDetInsSepBNHead head_module prior_generator bbox_coder loss_cls loss_bbox loss_mask train_cfg=None test_cfg=None
    init_cfg=None
RTMDetRotatedHead head_module prior_generator bbox_coder loss_cls loss_bbox angle_version='le90' use_hbbox_loss=False
    angle_coder loss_angle=None train_cfg=None test_cfg=None init_cfg=None
YOLODetector backbone neck bbox_head train_cfg=None test_cfg=None data_preprocessor=None init_cfg=None use_syncbn=True
CSPLayerWithTwoConv in_channels out_channels expand_ratio=0.5 num_blocks=1 add_identity=True conv_cfg=None norm_cfg
    act_cfg init_cfg=None
DarknetBottleneck in_channels out_channels expansion=0.5 kernel_size padding add_identity=True use_depthwise=False
    conv_cfg=None norm_cfg act_cfg init_cfg=None
SPPFBottleneck in_channels out_channels kernel_sizes=5 use_conv_first=True mid_channels_scale=0.5 conv_cfg=None
    norm_cfg act_cfg init_cfg=None
CSPSPPFBottleneck in_channels out_channels kernel_sizes=5 use_conv_first=True mid_channels_scale=0.5 conv_cfg=None
    norm_cfg act_cfg init_cfg=None
RepVGGBlock in_channels out_channels kernel_size=3 stride=1 padding=1 dilation=1 groups=1 padding_mode='zeros'
    norm_cfg act_cfg use_se=False use_alpha=False use_bn_first=True deploy=False
ConvWrapper in_channels out_channels kernel_size=3 stride=1 groups=1 bias=True norm_cfg act_cfg
BottleRep in_channels out_channels block_cfg adaptive_weight=False
RepStageBlock in_channels out_channels num_blocks=1 bottle_block block_cfg
BepC3StageBlock in_channels out_channels num_blocks=1 hidden_ratio=0.5 concat_all_layer=True block_cfg norm_cfg
    act_cfg
BiFusion in_channels0 in_channels1 out_channels norm_cfg act_cfg
ELANBlock in_channels out_channels middle_ratio block_ratio num_blocks=2 num_convs_in_block=1 conv_cfg=None norm_cfg
    act_cfg init_cfg=None
EELANBlock num_elan_block
MaxPoolAndStrideConvBlock in_channels out_channels maxpool_kernel_sizes=2 use_in_channels_of_middle=False
    conv_cfg=None norm_cfg act_cfg
TinyDownSampleBlock in_channels out_channels middle_ratio=1.0 kernel_sizes=3 conv_cfg=None norm_cfg act_cfg
SPPFCSPBlock in_channels out_channels expand_ratio=0.5 kernel_sizes=5 is_tiny_version=False conv_cfg=None norm_cfg
    act_cfg
ImplicitA in_channels mean=0.0 std=0.02
ImplicitM in_channels mean=1.0 std=0.02
EffectiveSELayer channels act_cfg
PPYOLOESELayer feat_channels norm_cfg act_cfg
PPYOLOEBasicBlock in_channels out_channels norm_cfg act_cfg shortcut=True use_alpha=False
CSPResLayer in_channels out_channels num_block block_cfg stride=1 norm_cfg act_cfg attention_cfg use_spp=False
CBAM in_channels reduce_ratio=16 kernel_size=7 act_cfg init_cfg=None
ExpMomentumEMA model momentum=0.0002 gamma=2000 interval=1 device=None update_buffers=False
IoULoss iou_mode='ciou' bbox_format='xywh' eps=1e-7 reduction='mean' loss_weight=1.0 return_iou=True
OksLoss metainfo=None loss_weight=1.0
BatchTaskAlignedAssigner num_classes topk=13 alpha=1.0 beta=6.0 eps=1e-7 use_ciou=False
BatchATSSAssigner num_classes iou_calculator topk=9
BatchDynamicSoftLabelAssigner num_classes soft_center_radius=3.0 topk=13 iou_weight=3.0 iou_calculator batch_iou=True
BatchYOLOv7Assigner num_classes num_base_priors featmap_strides prior_match_thr=4.0 candidate_topk=10 iou_weight=3.0
    cls_weight=1.0
PoseSimOTAAssigner center_radius=2.5 candidate_topk=10 iou_weight=3.0 cls_weight=1.0 oks_weight=0.0 vis_weight=0.0
    iou_calculator oks_calculator
DistanceAnglePointCoder clip_border=True angle_version='oc'
YOLOXBatchSyncRandomResize random_size_range interval=10 size_divisor=32
PPYOLOEBatchRandomResize random_size_range interval=1 size_divisor=32 random_interp=True interp_mode keep_ratio=False
BatchShapePolicy batch_size=32 img_size=640 size_divisor=32 extra_pad_ratio=0.5
LoadAnnotations mask2bbox=False poly2mask=False merge_polygons=True
FilterAnnotations by_keypoints=False
RemoveDataElement keys
RegularizeRotatedBox angle_version='le90'
YOLOv5KeepRatioResize scale keep_ratio=True
LetterResize scale pad_val use_mini_pad=False stretch_only=False allow_scale_up=True half_pad_param=False
YOLOv5RandomAffine max_rotate_degree=10.0 max_translate_ratio=0.1 scaling_ratio_range=(0.5,1.5) max_shear_degree=2.0
    border=(0,0) border_val=(114,114,114) bbox_clip_border=True min_bbox_size=2 min_area_ratio=0.1
    use_mask_refine=False max_aspect_ratio=20.0 resample_num=1000
YOLOv5HSVRandomAug hue_delta=0.015 saturation_delta=0.7 value_delta=0.4
PPYOLOERandomDistort hue_cfg saturation_cfg contrast_cfg brightness_cfg num_distort_func=4
PPYOLOERandomCrop aspect_ratio thresholds scaling num_attempts=50 allow_no_crop=True cover_all_box=False
YOLOv5CopyPaste ioa_thresh=0.3 prob=0.5
Polygon2Mask downsample_ratio=4 mask_overlap=True coco_style=False
Keypoints keypoints keypoints_visible device=None clone=True flip_indices=None
BaseMixImageTransform pre_transform=None prob=1.0 use_cached=False max_cached_images=40 random_pop=True max_refetch=15
Mosaic img_scale=(640,640) center_ratio_range=(0.5,1.5) bbox_clip_border=True pad_val=114.0 pre_transform=None
    prob=1.0 use_cached=False max_cached_images=40 random_pop=True max_refetch=15
Mosaic9 img_scale=(640,640) bbox_clip_border=True pad_val=114.0 pre_transform=None prob=1.0 use_cached=False
    max_cached_images=50 random_pop=True max_refetch=15
YOLOv5MixUp alpha=32.0 beta=32.0 pre_transform=None prob=1.0 use_cached=False max_cached_images=20 random_pop=True
    max_refetch=15
YOLOXMixUp img_scale=(640,640) ratio_range=(0.5,1.5) flip_ratio=0.5 pad_val=114.0 bbox_clip_border=True
    pre_transform=None prob=1.0 use_cached=False max_cached_images=20 random_pop=True max_refetch=15
YOLOv5ParamSchedulerHook scheduler_type='linear' lr_factor=0.01 max_epochs=300 warmup_epochs=3 warmup_bias_lr=0.1
    warmup_momentum=0.8 warmup_mim_iter=1000
PPYOLOEParamSchedulerHook warmup_min_iter=1000 start_factor=0.0 warmup_epochs=5 min_lr_ratio=0.0 total_epochs=360
YOLOXModeSwitchHook num_last_epochs=15 new_train_pipeline=None
YOLOv5OptimizerConstructor optim_wrapper_cfg paramwise_cfg=None
YOLOv7OptimWrapperConstructor optim_wrapper_cfg paramwise_cfg=None
OutputSaveObjectWrapper obj
OutputSaveFunctionWrapper func spec
BoxAMDetectorWrapper cfg checkpoint score_thr device
BoxAMDetectorVisualizer method_class model target_layers reshape_transform=None is_need_grad=False extra_params=None
DetBoxScoreTarget pred_instance match_iou_thr=0.5 device='cuda:0' ignore_loss_params=None
LabelmeFormat classes
"""

FUNCTIONS = """
make_divisible x widen_factor=1.0 divisor=8
make_round x deepen_factor=1.0
gt_instances_preprocess batch_gt_instances batch_size
get_prior_xy_info index num_base_priors featmap_sizes
bbox_overlaps pred target iou_mode='ciou' bbox_format='xywh' siou_theta=4.0 eps=1e-7
select_highest_overlaps pos_mask overlaps num_gt
find_inside_points boxes points box_dim=4 eps=0.01
get_box_center boxes box_dim=4
yolov5_collate data_batch use_ms_training=False
linear_fn lr_factor max_epochs
cosine_fn lr_factor max_epochs
shift_rbboxes bboxes offset
merge_results_by_nms results offsets src_image_shape nms_cfg
auto_arrange_images image_list image_column=2
"""

PREDICT = 'batch_img_metas=None cfg=None rescale=True with_nms=True'
METHODS = f"""
BaseBackbone.build_stage_layer stage_idx setting
BaseBackbone.make_stage_plugins plugins stage_idx setting
BaseBackbone._freeze_stages
BaseYOLONeck.build_top_down_layer idx
BaseYOLONeck.build_bottom_up_layer idx
YOLOv8PAFPN.build_reduce_layer idx
YOLOv8PAFPN.build_out_layer idx
YOLOv5HeadModule.forward_single x convs
YOLOv7HeadModule.forward_single x convs
YOLOXHeadModule.forward_single x cls_convs reg_convs conv_cls conv_reg conv_obj
RTMDetSepBNHeadModule.forward feats
RTMDetInsSepBNHeadModule.forward feats
RTMDetRotatedSepBNHeadModule.forward feats
YOLOv6HeadModule.init_weights prior_prob=0.01
YOLOv8HeadModule.init_weights prior_prob=0.01
PPYOLOEHeadModule.init_weights prior_prob=0.01
YOLOv5Head.special_init
YOLOv5Head.loss x batch_data_samples
YOLOv5Head.predict x batch_data_samples rescale=False
YOLOv5Head.loss_by_feat cls_scores bbox_preds objectnesses batch_gt_instances batch_img_metas
    batch_gt_instances_ignore=None
YOLOv5Head._loss_by_feat_with_ignore cls_scores bbox_preds objectnesses batch_gt_instances batch_img_metas
    batch_gt_instances_ignore
YOLOv5Head.predict_by_feat cls_scores bbox_preds objectnesses=None {PREDICT}
YOLOv5Head._convert_gt_to_norm_format batch_gt_instances batch_img_metas
YOLOv7Head._merge_predict_results bbox_preds objectnesses cls_scores
YOLOv5InsHead.predict_by_feat cls_scores bbox_preds objectnesses=None coeff_preds=None proto_preds=None {PREDICT}
YOLOv5InsHead.crop_mask masks boxes
YOLOv6Head.loss_by_feat cls_scores bbox_preds bbox_dist_preds batch_gt_instances batch_img_metas
    batch_gt_instances_ignore=None
YOLOv8Head.loss_by_feat cls_scores bbox_preds bbox_dist_preds batch_gt_instances batch_img_metas
    batch_gt_instances_ignore=None
PPYOLOEHead.loss_by_feat cls_scores bbox_preds bbox_dist_preds batch_gt_instances batch_img_metas
    batch_gt_instances_ignore=None
YOLOXHead.loss_by_feat cls_scores bbox_preds objectnesses batch_gt_instances batch_img_metas
    batch_gt_instances_ignore=None
YOLOXHead.gt_instances_preprocess batch_gt_instances batch_size
YOLOXPoseHead.gt_kps_instances_preprocess batch_gt_instances batch_gt_keypoints batch_gt_keypoints_visible batch_size
RTMDetHead.loss_by_feat cls_scores bbox_preds batch_gt_instances batch_img_metas batch_gt_instances_ignore=None
RTMDetInsSepBNHead.predict_by_feat cls_scores bbox_preds kernel_preds mask_feats score_factors=None {PREDICT}
RTMDetInsSepBNHead._mask_predict_by_feat mask_feat kernels priors
BatchTaskAlignedAssigner.forward pred_bboxes pred_scores priors gt_labels gt_bboxes pad_bbox_flag
BatchTaskAlignedAssigner.get_pos_mask pred_bboxes pred_scores priors gt_labels gt_bboxes pad_bbox_flag batch_size
    num_gt
BatchTaskAlignedAssigner.get_targets gt_labels gt_bboxes assigned_gt_idxs fg_mask_pre_prior batch_size num_gt
BatchATSSAssigner.forward pred_bboxes priors num_level_priors gt_labels gt_bboxes pad_bbox_flag
BatchDynamicSoftLabelAssigner.forward pred_bboxes pred_scores priors gt_labels gt_bboxes pad_bbox_flag
BatchYOLOv7Assigner.forward pred_results batch_targets_normed batch_input_shape priors_base_sizes grid_offset
    near_neighbor_thr=0.5
DistancePointBBoxCoder.decode points pred_bboxes stride max_shape=None
DistancePointBBoxCoder.encode points gt_bboxes max_dis=16.0 eps=0.01
DistanceAnglePointCoder.decode points pred_bboxes stride max_shape=None
YOLOv5BBoxCoder.decode priors pred_bboxes stride
IoULoss.forward pred target weight=None avg_factor=None reduction_override=None
OksLoss.compute_oks output target target_weights bboxes=None
Keypoints.cat kps_list dim=0
BaseMixImageTransform.get_indexes dataset
BaseMixImageTransform.mix_img_transform results
YOLOv5RandomAffine._get_random_homography_matrix height width
BoxAMDetectorWrapper.set_input_data image pred_instances=None
BoxAMDetectorVisualizer.switch_activations_and_grads model
"""


def rows(table):
    return [line.split() for line in table.strip().replace('\n    ', ' ').splitlines()]


def find(name):
    for place in PLACES:
        if hasattr(place, name):
            return getattr(place, name)
    raise AssertionError(f'{name} is in none of the public modules')


def assert_takes(function, wanted):
    parameters = [one for one in inspect.signature(function).parameters.values() if one.name not in ('self', 'cls')]
    if '*' in wanted:  # those behind it come by name
        by_name = wanted[wanted.index('*') + 1 :]
        wanted = wanted[: wanted.index('*')]
    else:
        by_name = []
    open_end = wanted[-1:] == ['...']
    wanted = wanted[:-1] if open_end else wanted
    plain = [one for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    names = [text.split('=')[0] for text in wanted]
    assert [one.name for one in plain][: len(names)] == names
    known = {one.name: one for one in plain}
    for text in wanted + by_name:
        name, _, default = text.partition('=')
        assert name in known
        if default:
            value = known[name].default
            expected = eval(default)
            assert (tuple(value) if isinstance(expected, tuple) else value) == expected, name


@pytest.mark.parametrize('row', rows(CONSTRUCTORS), ids=lambda row: row[0])
def test_constructor(row):
    assert_takes(find(row[0]), row[1:])


@pytest.mark.parametrize('row', rows(FUNCTIONS), ids=lambda row: row[0])
def test_function(row):
    assert_takes(find(row[0]), row[1:])


@pytest.mark.parametrize('row', rows(METHODS), ids=lambda row: row[0])
def test_method(row):
    name, method = row[0].split('.')
    function = inspect.getattr_static(find(name), method)
    function = getattr(function, '__func__', function)  # of a static or a class method
    assert_takes(getattr(function, 'func', function), row[1:])  # mmcv wraps what draws random numbers
