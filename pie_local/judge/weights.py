"""Judges `output/files/MODEL.th`: the platform loads it as the pre-trained model of another training."""

import filecmp
import pickle
import zipfile
from pathlib import Path

from ..texts import say
from .finding import Expected, Finding


def find_weights(output: Path, model_name: str = '') -> Path | None:
    """Return the weights of an output folder.

    Args:
        output: The folder.
        model_name: Of the parameters; '': any.
    """
    named = output / 'files' / f'{model_name}.th'
    if model_name and named.is_file():
        return named
    return next(iter(sorted((output / 'files').glob('*.th'))), None)


def judge_weights(output: Path, expected: Expected) -> list[Finding]:
    """Judge the weights of an output folder.

    Args:
        output: The folder.
        expected: What is known of the training.
    """
    path = find_weights(output, expected.model_name)
    if path is None:
        return [Finding('files/', '', say('judge.no_weights'))]
    findings = []
    file = f'files/{path.name}'
    if expected.model_name and path.stem != expected.model_name:
        wanted = f'{expected.model_name}.th'
        findings.append(Finding(file, '', say('judge.other_weights', found=path.name, wanted=wanted)))
    second = output / path.name
    if second.is_file() and not filecmp.cmp(second, path, shallow=False):
        findings.append(Finding(second.name, '', say('judge.weights_differ', name=path.name)))
    return findings + _load(path, file)


def _load(path: Path, file: str) -> list[Finding]:
    import torch  # here: the other commands answer at once

    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except OSError:
        return [Finding(file, '', say('judge.weights_do_not_open'))]
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes torch raise
        # What torch says is left out: it advises to load with weights_only=False, which would run code of the file.
        whole = isinstance(error, pickle.UnpicklingError) and zipfile.is_zipfile(path)
        return [Finding(file, '', say('judge.weights_hold_objects' if whole else 'judge.weights_do_not_load'))]
    if not isinstance(state, dict) or not state:
        return [
            Finding(
                file,
                '',
                say(
                    'judge.weights_no_state_dict',
                    found=f'{type(state).__name__} of {len(state) if hasattr(state, "__len__") else 1}',
                ),
            )
        ]
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            return [Finding(file, str(name), say('judge.weights_no_state_dict', found=type(value).__name__))]
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            return [Finding(file, '', say('judge.weights_not_finite', name=name))]
    return []
