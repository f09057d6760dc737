"""What the distillation configs of RTMDet name, for an error that says what is missing."""

from mmyolo.registry import MODELS, stand_in


@stand_in(MODELS, 'mmrazor').register_module()
class FpnTeacherDistill:
    """Stands for mmrazor's distiller where mmrazor is not installed.

    Raises:
        ImportError: always.
    """

    def __init__(self, *args, **kwargs) -> None:
        raise ImportError(
            'this config distils a detector with the package mmrazor, which is not installed: install '
            'mmrazor, or train the student alone with its config in configs/rtmdet'
        )
