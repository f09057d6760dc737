# Starts from weights of COCO instead of ImageNet.
_base_ = './rtmdet-r_l_syncbn_fast_2xb4-36e_dota-ms.py'
load_from = 'https://download.openmmlab.com/mmyolo/v0/rtmdet/rtmdet_l_syncbn_fast_8xb32-300e_coco/rtmdet_l_syncbn_fast_8xb32-300e_coco_20230102_135928-ee3abdc4.pth'  # noqa: E501
