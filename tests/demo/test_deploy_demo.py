"""demo/deploy_demo.py where the package that it needs is absent."""

from importlib.util import find_spec

import pytest


@pytest.mark.skipif(find_spec('mmdeploy') is not None, reason='mmdeploy is installed')
def test_says_what_is_missing(run):
    with pytest.raises(SystemExit, match='needs the package mmdeploy'):
        run('deploy_demo', 'a.png', '--deploy-cfg', 'a.py')
