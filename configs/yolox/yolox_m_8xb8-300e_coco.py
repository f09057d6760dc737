# The name of this recipe in mmyolo 0.5.0 and before.
_base_ = './yolox_m_fast_8xb8-300e_coco.py'
