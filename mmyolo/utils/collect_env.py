"""The versions that a bug report needs."""

from mmengine.utils import get_git_hash
from mmengine.utils.dl_utils import collect_env as collect_base_env

import mmyolo


def collect_env() -> dict:
    """Collect versions of the system, of PyTorch and of the OpenMMLab packages.

    Returns:
        One entry per component, for example {'PyTorch': '2.13.0', 'MMYOLO': '0.6.0+1a2b3c4', ...}.
    """
    import mmcv
    import mmdet  # here, for it takes seconds and all that needs mmyolo.utils would wait

    env_info = collect_base_env()
    env_info['MMCV'] = mmcv.__version__
    env_info['MMDetection'] = mmdet.__version__
    env_info['MMYOLO'] = f'{mmyolo.__version__}+{get_git_hash()[:7]}'
    return env_info


if __name__ == '__main__':
    for name, value in collect_env().items():
        print(f'{name}: {value}')
