"""The numbers of a run follow its length."""

import pytest

from tmi.recipe import BaseRecipe, make_recipe


def test_a_run_of_cocos_length_keeps_the_configs_numbers():
    recipe = make_recipe(118_287, 128, 300)
    base = BaseRecipe()
    assert recipe.warmup_iters == 3 * 925
    assert (recipe.close_mosaic_epochs, recipe.ema_momentum, recipe.ema_gamma) == (
        10,
        base.ema_momentum,
        base.ema_gamma,
    )


def test_a_short_run():
    recipe = make_recipe(400, 16, 40)
    assert (recipe.iters_per_epoch, recipe.total_iters) == (25, 1000)
    assert recipe.warmup_iters <= 0.2 * recipe.total_iters  # 1000 steps of warm-up would be the whole run
    assert 0 < recipe.close_mosaic_epochs <= 10
    assert recipe.ema_gamma < recipe.total_iters / 4
    assert 1 / recipe.ema_momentum < recipe.total_iters


@pytest.mark.parametrize('images, batch, epochs', [(1, 8, 1), (3, 8, 2), (100, 16, 1), (7, 2, 1000), (10**6, 1, 1)])
def test_every_run_has_sane_numbers(images, batch, epochs):
    recipe = make_recipe(images, batch, epochs)
    assert recipe.iters_per_epoch == -(-images // batch)
    assert 1 <= recipe.warmup_iters <= max(recipe.total_iters // 2, 1)
    assert 0 <= recipe.close_mosaic_epochs < epochs
    assert 0 < recipe.ema_momentum < 1 and recipe.ema_gamma >= 1


@pytest.mark.parametrize(
    'images, batch, epochs, share, expected',
    [
        (118_287, 64, 80, 30 / 80, 30),  # PPYOLOE+ on COCO
        (20_000, 8, 40, 30 / 80, 15),  # 100,000 steps: its warm-up is whole
        (160, 8, 25, 30 / 80, 2),  # 500 steps
        (160, 8, 40, 4 / 400, 1),  # YOLOv6
        (160, 8, 2, 30 / 80, 1),
        (160, 8, 25, 0, 0),
    ],
)
def test_the_first_assigner_takes_its_share_but_little_of_a_short_run(images, batch, epochs, share, expected):
    recipe = make_recipe(images, batch, epochs, BaseRecipe(first_assigner_share=share))
    assert recipe.first_assigner_epochs == expected
    assert (('assigned by shape', f'first {expected} epochs') in recipe.rows()) == (expected > 0)


def test_the_users_rate_is_taken_as_it_is():
    assert make_recipe(10, 2, 3, lr=0.5).lr == 0.5


def test_a_config_without_second_pipeline_closes_nothing():
    assert make_recipe(400, 16, 100, BaseRecipe(close_mosaic_epochs=0)).close_mosaic_epochs == 0
