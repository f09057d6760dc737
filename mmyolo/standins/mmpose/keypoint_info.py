"""What the keypoints of a data set are: names, mirror images, tolerances, skeleton; read from a `dataset_info`.

Unlike the public release, a relative path is also looked for beside the package, so it does not matter where a program
is started.
"""

import copy
from pathlib import Path

import numpy as np
from mmengine.config import Config

_PACKAGE = Path(__file__).resolve().parents[2]  # mmyolo


def load_keypoint_info(source: str | dict) -> dict:
    """Read a description of keypoints.

    Args:
        source: path of a config with `dataset_info`, such as 'configs/_base_/pose/coco.py'; or `dict(from_file=path)`;
            or such a `dataset_info`; or what this function returned.

    Returns:
        `dataset_name`, `num_keypoints`, `keypoint_id2name`, `keypoint_name2id`, `flip_indices` (what to permute a
        mirrored object's keypoints by), `flip_pairs`, `keypoint_colors` (K, 3), `skeleton_links` (pairs of indices),
        `skeleton_link_colors` (L, 3), `dataset_keypoint_weights` (K,) and `sigmas` (K,); colours are RGB.

    Raises:
        FileNotFoundError: if there is no such file.
        KeyError: if it does not describe keypoints.
    """
    if isinstance(source, (str, Path)):
        source = {'from_file': source}
    if 'num_keypoints' in source:
        return dict(source)
    if 'from_file' in source:
        path = _find(source['from_file'])
        source = Config.fromfile(path).get('dataset_info', {})
        where = str(path)
    else:
        where = 'the given dict'
    missing = {'keypoint_info', 'sigmas'} - set(source)
    if missing:
        raise KeyError(
            f'{where} describes no keypoints: dataset_info lacks {sorted(missing)}. '
            'See configs/_base_/pose/coco.py for the form.'
        )
    return _parse(source)


def _find(path: str | Path) -> Path:
    path = Path(path)
    candidates = [path, _PACKAGE.parent / path, _PACKAGE / '.mim' / path]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(
        f'The description of keypoints {str(path)!r} is neither in the working directory nor '
        f'beside the package: looked for {", ".join(map(str, candidates))}'
    )


def _parse(info: dict) -> dict:
    points = [info['keypoint_info'][index] for index in range(len(info['keypoint_info']))]
    id_of = {point['name']: index for index, point in enumerate(points)}
    mirrored = [id_of[point.get('swap') or point['name']] for point in points]
    links = list(info.get('skeleton_info', {}).values())
    return {
        'dataset_name': info.get('dataset_name', ''),
        'num_keypoints': len(points),
        'keypoint_id2name': {index: point['name'] for index, point in enumerate(points)},
        'keypoint_name2id': id_of,
        'flip_indices': mirrored,
        'flip_pairs': [[index, other] for index, other in enumerate(mirrored) if index < other],
        'keypoint_colors': _colors(points),
        'skeleton_links': [tuple(id_of[name] for name in link['link']) for link in links],
        'skeleton_link_colors': _colors(links),
        'dataset_keypoint_weights': np.array(info.get('joint_weights', [1.0] * len(points)), dtype=np.float32),
        'sigmas': np.array(copy.deepcopy(info['sigmas']), dtype=np.float32),
    }


def _colors(entries: list, default: list | None = None) -> np.ndarray:
    return np.array([entry.get('color', default or [255, 128, 0]) for entry in entries], dtype=np.uint8).reshape(-1, 3)
