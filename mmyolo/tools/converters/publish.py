"""Makes a checkpoint of a training ready for others: without what only a resumed training needs, named by its hash."""

import hashlib
import io
from pathlib import Path

import torch

from mmyolo.utils.checkpoint import read_as_data
from mmyolo.utils.files import replacing

TRAINING_ONLY = ('optimizer', 'message_hub', 'ema_state_dict')
# constants of the model's code, not weights; checkpoints of older versions hold them
CONSTANTS = ('priors_base_sizes', 'grid_offset', 'prior_inds')


def publish(in_file: str | Path, out_file: str | Path) -> Path:
    """Write the published form of a checkpoint.

    Args:
        in_file: The checkpoint.
        out_file: Name of the new one; `.pth` at its end may be left out.

    Returns:
        The file that was written: <out_file>-<first 8 digits of its SHA-256>.pth.

    Raises:
        ValueError: If the file has no weights, or holds more than data.
    """
    checkpoint = read_as_data(in_file)
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get('state_dict'), dict):
        raise ValueError(f'{in_file} has no state_dict; it is not a checkpoint of a training')
    published = {key: value for key, value in checkpoint.items() if key not in TRAINING_ONLY}
    published['state_dict'] = type(checkpoint['state_dict'])(
        (key, value)
        for key, value in checkpoint['state_dict'].items()
        if not key.startswith('data_preprocessor') and not any(name in key for name in CONSTANTS)
    )
    out = Path(out_file)
    stem = out.with_suffix('') if out.suffix == '.pth' else out
    content = io.BytesIO()  # given a name, torch would write it into the file and so change the hash
    torch.save(published, content)
    digest = hashlib.sha256(content.getbuffer()).hexdigest()
    final = stem.with_name(f'{stem.name}-{digest[:8]}.pth')
    with replacing(final) as temporary:
        temporary.write_bytes(content.getbuffer())
    return final
