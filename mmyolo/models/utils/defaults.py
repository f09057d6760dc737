"""The norm and the activation of every YOLO block whose config names none."""

NORM_CFG = dict(type='BN', momentum=0.03, eps=0.001)
ACT_CFG = dict(type='SiLU', inplace=True)
