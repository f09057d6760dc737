# ViDT+ (arXiv 2204.07962), size nano: 300 tokens, fused maps, and boxes that learn how well they fit.
# Its patch and mask losses need masks: model.token_label and model.mask_vectors.
_base_ = './vidt_nano_8xb2-50e_coco.py'

model = {'backbone': {'num_det_tokens': 300}, 'epff': True, 'iou_aware': True}
