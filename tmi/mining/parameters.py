"""The settings of mining as data: settings, template, help and documents follow from this table."""

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field, create_model

MAX_WEIGHT = 1_000_000  # of a class


class Parameter(NamedTuple):
    """One setting.

    Args:
        name: The key.
        type: What pydantic checks.
        default: Its value if the user gives none.
        text: One plain sentence.
        text_zh: The same in Chinese.
    """

    name: str
    type: Any
    default: Any
    text: str
    text_zh: str


def _number(value: Any) -> Any:
    """Reject a boolean: YAML reads yes, on and off as one."""
    if isinstance(value, bool):
        raise ValueError('a number is needed, and YAML reads yes, no, on, off, true and false as booleans')
    return value


def _or_none(value: Any) -> Any:
    """Read `none` as 0, which forms of platforms may drop; YAML reads no and off as False."""
    return 0 if value is False or _lower(value) in ('none', 'off', 'no', 'false') else _number(value)


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _weights(value: Any) -> Any:
    """'1, 2.5' or [1, 2.5] or 3 to a list of numbers, '' to itself; a comma may follow the last."""
    if isinstance(value, str):
        if not value.strip():
            return ''
        value = value.strip('[]() ').removesuffix(',').split(',')
    parts = list(value) if isinstance(value, (list, tuple)) else [value]
    try:
        if any(isinstance(part, bool) for part in parts):
            raise ValueError
        numbers = [float(part) for part in parts]
        if all(0 <= number <= MAX_WEIGHT for number in numbers):
            return numbers
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(
        f'numbers from 0 to {MAX_WEIGHT} are needed, one for each class in the order of class_names, separated by '
        'commas'
    )


Count = Annotated[int, BeforeValidator(_number), Field(ge=0, le=1_000_000_000)]
Positive = Annotated[int, BeforeValidator(_number), Field(ge=1, le=1_000_000_000)]
Fraction = Annotated[float, BeforeValidator(_number), Field(ge=0, le=1, allow_inf_nan=False)]
Strength = Annotated[float, BeforeValidator(_or_none), Field(ge=0, le=10, allow_inf_nan=False)]
Share = Annotated[float, BeforeValidator(_or_none), Field(ge=0, le=1, allow_inf_nan=False)]
Weights = Annotated[Literal[''] | list[float], BeforeValidator(_weights)]
Aggregate = Annotated[Literal['sum', 'mean', 'max', 'topm'], BeforeValidator(_lower)]

PARAMETERS = (
    Parameter(
        'mining_seed',
        Count,
        0,
        'Seed of random draws: random, exploration, cut-outs of cald',
        '随机种子(random、探索与 cald 的遮挡)',
    ),
    Parameter('mining_score_thr', Fraction, 0.05, 'Boxes below this score do not count', '低于此置信度的框不计入'),
    Parameter(
        'mining_aggregate',
        Aggregate,
        'sum',
        'From boxes to an image: sum, mean, max, or topm, the sum of the largest mining_top_boxes',
        '由框到图像的汇总方式:sum、mean、max 或 topm(最大的 mining_top_boxes 个之和)',
    ),
    Parameter('mining_top_boxes', Positive, 20, 'How many boxes topm counts', 'topm 计入的框数'),
    Parameter(
        'mining_box_cost',
        Fraction,
        0.0,
        'What a box costs compared with an image; above 0 crowded images rank lower',
        '每个框相对一张图像的标注成本,大于 0 时拥挤图像排名下降',
    ),
    Parameter(
        'mining_diversity',
        Strength,
        1.0,
        'hybrid: how much images unlike those before are preferred; none = off',
        'hybrid:偏好与已选图像不同者的程度,none 表示关闭',
    ),
    Parameter(
        'mining_class_balance',
        Strength,
        0.5,
        'hybrid: how much rare classes are preferred; none = off',
        'hybrid:偏好稀有类别的程度,none 表示关闭',
    ),
    Parameter(
        'mining_explore',
        Share,
        0.05,
        'hybrid: share of images chosen by distance alone, to find objects that the model misses; none = off',
        'hybrid:只看与已选图像距离而选出的比例,用于发现漏检,none 表示关闭',
    ),
    Parameter(
        'mining_order_size',
        Positive,
        10000,
        'hybrid: how many images are put in a diverse order; the rest follows by uncertainty',
        'hybrid:按多样性排序的图像数,其余按不确定度排列',
    ),
    Parameter(
        'mining_pool_ratio',
        Positive,
        4,
        'hybrid: they are picked from so many times mining_order_size images, the most uncertain ones',
        'hybrid:从最不确定的若干图像中选取,其数量为 mining_order_size 的该倍数',
    ),
    Parameter(
        'mining_topk_hint',
        Count,
        0,
        'hybrid: how many images will be labelled, if you know it; 0 = unknown, every beginning of the list is good',
        'hybrid:预计标注的图像数,0 表示未知,列表的任意前段都可用',
    ),
    Parameter(
        'class_distribution_scores',
        Weights,
        '',
        'Weight of each class in the order of the class names, such as 1,1,2.5; empty = all 1',
        '各类别的权重,按类别顺序,如 1,1,2.5;留空表示全为 1',
    ),
)


def settings_with(base: type, *parameters: Parameter) -> type:
    """Return a class of settings that has parameters besides those of its base.

    Args:
        base: A pydantic model.
        *parameters: To add.
    """
    fields = {item.name: (item.type, item.default) for item in parameters}
    return create_model('MiningParameters', __base__=base, __module__=__name__, **fields)
