"""Names of packages that are not installed resolve to what stands in for them; an installed package keeps its names."""

import importlib

import pytest
from mmengine.registry import MODELS as ROOT_MODELS

from mmyolo.registry import MODELS, stand_in


@pytest.fixture
def forget():
    """Takes the registries of a test's made-up packages out of the tree again."""
    yield
    for scope in ('absent_package', 'json'):
        ROOT_MODELS._children.pop(scope, None)
    stand_in.cache_clear()


def test_the_name_of_an_absent_package_means_the_stand_in(forget):

    @stand_in(MODELS, 'absent_package').register_module()
    class Layer:
        pass

    assert MODELS.get('absent_package.Layer') is Layer
    assert ROOT_MODELS.get('absent_package.Layer') is Layer
    assert MODELS.get('Layer') is None
    assert stand_in(MODELS, 'absent_package') is stand_in(MODELS, 'absent_package')


def test_an_installed_package_keeps_its_names(forget):
    assert importlib.util.find_spec('json')

    @stand_in(MODELS, 'json').register_module()
    class JSONEncoder:
        pass

    assert 'json' not in ROOT_MODELS._children
    assert MODELS.get('json.JSONEncoder') is not JSONEncoder
