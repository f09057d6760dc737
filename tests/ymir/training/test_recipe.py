"""The numbers of a run follow its length."""

import pytest

from tmi.recipe import FEW_STEPS_LR, BaseRecipe, choose_batch_size, make_recipe


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


def test_the_users_rate_is_taken_as_it_is_with_the_optimizer_it_is_for():
    recipe = make_recipe(10, 2, 3, lr=0.5)
    assert (recipe.lr, recipe.optimizer, recipe.max_gradient, recipe.reasons) == (0.5, 'SGD', None, {})


@pytest.mark.parametrize(
    'images, epochs, base, optimizer, lr',
    [
        (60, 100, BaseRecipe(), 'AdamW', FEW_STEPS_LR),
        (60, 100, BaseRecipe(pretrained=True), 'SGD', 0.01),
        (60, 100, BaseRecipe(optimizer='AdamW', lr=0.004), 'AdamW', 0.004),
        (10_000, 100, BaseRecipe(), 'SGD', 0.01),
    ],
)
def test_the_optimizer_follows_from_the_steps(images, epochs, base, optimizer, lr):
    recipe = make_recipe(images, 8, epochs, base)
    assert (recipe.optimizer, recipe.lr) == (optimizer, lr)
    changed = optimizer != base.optimizer
    assert recipe.max_gradient == (10 if changed else None)
    rows = dict(recipe.rows())
    assert ('few for SGD' in rows['optimizer']) == changed == ('of AdamW' in rows['learning rate'])


def test_an_optimizer_that_runs_already_stays():
    assert make_recipe(60, 8, 10, optimizer='SGD').lr == 0.01
    long = make_recipe(10_000, 8, 100, optimizer='AdamW')
    assert (long.optimizer, long.lr) == ('AdamW', FEW_STEPS_LR)


def test_the_configs_own_numbers():
    base = BaseRecipe(max_gradient=10, first_assigner_share=0.375, val_interval=10)
    recipe = make_recipe(60, 8, 100, base, schedule='public')
    assert (recipe.optimizer, recipe.lr, recipe.max_gradient, recipe.reasons) == ('SGD', 0.01, None, {})
    assert (recipe.warmup_iters, recipe.ema_momentum, recipe.ema_gamma) == (1000, 0.0001, 2000)
    assert (recipe.close_mosaic_epochs, recipe.first_assigner_epochs, recipe.val_interval) == (10, 38, 10)
    assert make_recipe(60, 8, 4, base, schedule='public').close_mosaic_epochs == 3


@pytest.mark.parametrize(
    'images, processes, epochs, size',
    [(60, 1, 100, 4), (400, 1, 40, 8), (400, 2, 40, 4), (60, 2, 100, 2), (5000, 8, 100, 8)],
)
def test_few_images_make_small_batches(images, processes, epochs, size):
    assert choose_batch_size(images, processes, epochs) == size


@pytest.mark.parametrize(
    'images, epochs, every', [(60, 100, 10), (400, 40, 4), (400, 100, 4), (2000, 100, 1), (60, 5, 1), (1, 1, 1)]
)
def test_validations_follow_from_the_steps(images, epochs, every):
    assert make_recipe(images, 8, epochs).val_interval == every
    assert make_recipe(images, 8, epochs, val_interval=3).val_interval == 3


def test_a_config_without_second_pipeline_closes_nothing():
    assert make_recipe(400, 16, 100, BaseRecipe(close_mosaic_epochs=0)).close_mosaic_epochs == 0


@pytest.mark.parametrize(
    'images, pretrained, chosen, lr',
    [(160, False, {}, 0.001), (70_000, False, {}, 0.0002), (10**7, False, {}, 0.0001), (160, True, {}, 0.0001)]
    + [(160, False, {'schedule': 'public'}, 0.0001), (160, False, {'lr': 0.5}, 0.5)],
)
def test_the_rate_of_adamw_may_follow_from_the_steps(images, pretrained, chosen, lr):
    base = BaseRecipe(lr=0.0001, optimizer='AdamW', few_steps_lr=0.001, denoising_groups=5, pretrained=pretrained)
    recipe = make_recipe(images, 16, 10, base, **chosen)  # 43,750 steps are 25 times those of a short run
    assert (recipe.lr, recipe.optimizer) == (pytest.approx(lr), 'AdamW')
    rows = dict(recipe.rows())
    assert ('are few for 0.0001' in rows['learning rate']) == (lr in (0.001, 0.0002))
    assert make_recipe(images, 16, 10, base, optimizer='AdamW', **chosen).lr == recipe.lr  # of a run that goes on
    denoising = None if 'schedule' in chosen else '5 noised boxes of each object'
    assert rows.get('denoising') == denoising
