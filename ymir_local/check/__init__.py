"""Checks what an executor wrote, or an image, against everything the platform and its official verifier demand.

    findings = check_out(work / 'out', work / 'in')
    render(findings, Console(), 'en')

One file per subject holds the rules; each is data (name, contract section, severity, English and Chinese texts) with a
generator of hits. Nothing here raises, whatever lies in the folder: an unreadable file is a finding.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..platform.prepare import ModelStage

# isort: off  importing a file of rules fills the catalogue; the order here is the order of the findings
from . import (  # noqa: F401  # noqa: F401
    container,
    image_rules,
    infer,
    mining,
    monitor,
    run_rules,
    segmentation,
    template_rules,
    training,
    training_files,
    verifier,
)
from .facts import Run

# isort: on
from .finding import ERROR, IMAGE, OUT, RUNS, WARNING, CheckRule, Finding
from .image import ExecutorImage, ImgMan
from .rendering import counts, has_errors, render, to_json
from .run_record import recorded

__all__ = [
    'ERROR',
    'WARNING',
    'Finding',
    'CheckRule',
    'all_rules',
    'check_image',
    'check_img_man',
    'check_out',
    'counts',
    'has_errors',
    'recorded',
    'render',
    'to_json',
]


def check_out(
    out_dir: str | Path,
    in_dir: None | str | Path = None,
    task: None | str | Sequence[str] = None,
    exit_code: int | None = None,
    stopped: bool = False,
    in_changes: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Check what a task left in `out`.

    Args:
        out_dir: the folder that the executor saw as /out.
        in_dir: its /in; default: the folder `in` beside it if that holds env.yaml; without it, rules that need it are
            not applicable.
        task: 'training', 'mining', 'infer' or 'mining+infer'; default: what in/env.yaml says, else what lies in `out`.
        exit_code: of the process or container; default: not checked.
        stopped: somebody stopped it, so that results may be missing.
        in_changes: what `changes_since` its start gave; default: whether `in` was changed is not checked.

    Returns:
        For every rule at least one finding: passed, failed (one per place) or not applicable.

    Raises:
        ValueError: `task` is none of these words.
    """
    out_dir = Path(out_dir)
    if in_dir is None and (out_dir.parent / 'in' / 'env.yaml').is_file():
        in_dir = out_dir.parent / 'in'
    in_dir = None if in_dir is None else Path(in_dir)
    return OUT.evaluate(Run(out_dir, in_dir, task, exit_code, stopped, in_changes))


def check_image(
    image: str,
    run: bool = False,
    work_dir: None | str | Path = None,
    model: ModelStage | None = None,
    gpu_ids: Sequence[int] = (),
    on_task: Callable[[str], None] = lambda task: None,
) -> list[Finding]:
    """Check an image as the platform does when it is added.

    Args:
        image: its name.
        run: also run a tiny task for every declared template: as an unknown user, without network, /in read-only.
        work_dir: where the work directories of these tasks are kept; default: a temporary folder, removed afterwards.
        model: for mining and inference of a run; default: what the training of the image gives.
        gpu_ids: GPUs of this machine for a run; none: the CPU.
        on_task: called with the name of every task that is tried, before it begins.

    Returns:
        For every rule at least one finding; those of a run name the task in their place. A task that was not tried is
        one too (container/tried), with the reason.

    Raises:
        FileExistsError: `work_dir` holds something already.
    """
    if work_dir is not None and os.path.exists(work_dir) and (not os.path.isdir(work_dir) or os.listdir(work_dir)):
        raise FileExistsError(f'{work_dir} exists already; name a new folder')
    facts = ExecutorImage(image)
    findings = IMAGE.evaluate(facts)
    if run:
        from .image_run import check_runs  # generates pictures, which needs more than the checks do

        findings += check_runs(facts, work_dir, model, gpu_ids, on_task)
    return findings


def check_img_man(folder: str | Path) -> list[Finding]:
    """Check manifest and templates before they are in an image; needs no Docker.

    Args:
        folder: what will be /img-man.
    """
    return IMAGE.evaluate(ImgMan(Path(folder)))


def all_rules() -> list[CheckRule]:
    """Return every rule there is: those of `out`, of an image, of tasks tried in it."""
    return [*OUT.rules, *IMAGE.rules, *RUNS.rules]
