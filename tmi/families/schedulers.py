"""mmengine's list of schedulers, `param_scheduler`: a warm-up, then parts that begin and end at a share of the epochs.

Read as the few numbers that `recipe.make_recipe` scales to the length of a run, and written from them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tmi.recipe import Recipe


def read_schedulers(schedulers: Sequence[dict[str, Any]], lr: float) -> dict[str, Any]:
    """Read a list.

    Args:
        schedulers: Configs, of which the first is the warm-up.
        lr: The rate that it leads to.

    Returns:
        `lr_factor`, `warmup_epochs` and `warmup_min_iters` of a `BaseRecipe`.
    """
    warmup = schedulers[0]
    falling = next((item for item in schedulers if 'eta_min' in item), {})
    end: float = warmup['end']
    length = (
        {'warmup_epochs': end, 'warmup_min_iters': 1}
        if warmup.get('by_epoch', True)
        else {'warmup_epochs': 0, 'warmup_min_iters': end}
    )
    return dict(lr_factor=falling.get('eta_min', lr) / lr, **length)


def write_schedulers(
    schedulers: Sequence[dict[str, Any]], epochs: int, closing: int, recipe: Recipe
) -> list[dict[str, Any]]:
    """Write a list in steps; warm-up, start of the last epochs and end are where they were.

    Args:
        schedulers: Configs, as `read_schedulers` takes them.
        epochs: That they are written for.
        closing: Last epochs of these that have a pipeline of their own.
        recipe: Of the run.

    Returns:
        Configs for the run.
    """
    warmup_end = schedulers[0]['end']
    last = epochs - closing

    def place(epoch: int | None, missing: int) -> int:
        if epoch is None:
            return missing
        if epoch == last and closing:
            return (recipe.epochs - recipe.close_mosaic_epochs) * recipe.iters_per_epoch
        return round(epoch / epochs * recipe.epochs) * recipe.iters_per_epoch

    # A warm-up of one step would begin and never end: mmengine keeps its first factor for the whole run.
    written = [_in_steps(schedulers[0], 0, recipe.warmup_iters)] if recipe.warmup_iters > 1 else []
    for item in schedulers[1:]:
        follows = schedulers[0].get('by_epoch', True) and item.get('begin') == warmup_end
        begin = recipe.warmup_iters if follows else max(place(item.get('begin'), 0), recipe.warmup_iters)
        end = place(item.get('end'), recipe.total_iters)
        if end <= begin:  # the run is too short for this part
            continue
        item = _in_steps(item, begin, end)
        if 'T_max' in item:
            item['T_max'] = end - begin
        if 'eta_min' in item:
            item['eta_min'] = recipe.lr * recipe.lr_factor
        written.append(item)
    return written


def _in_steps(item: Mapping, begin: int, end: int) -> dict[str, Any]:
    kept = {key: value for key, value in item.items() if key != 'convert_to_iter_based'}
    return dict(kept, by_epoch=False, begin=begin, end=end)
