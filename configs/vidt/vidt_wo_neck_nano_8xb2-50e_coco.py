_base_ = './vidt_nano_8xb2-50e_coco.py'  # ViDT without neck, nano: boxes straight from the tokens (2110.03921, table 2)

model = {
    '_delete_': True,
    'type': 'mmdet.ViDTWithoutNeck',
    'data_preprocessor': _base_.model.data_preprocessor,
    'backbone': {'type': 'mmdet.SwinWithRAM', 'arch': 'nano', 'num_det_tokens': 100, 'last_merge': False},
    'num_classes': _base_.num_classes,
    'criterion': {'type': 'mmdet.ViDTCriterion', 'num_classes': _base_.num_classes, 'background': True},
}
