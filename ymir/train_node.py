"""A node of a training behind the first (`tmi.training.nodes`): starts the processes that node 0 says.

`ymir/start.py` runs it where NODE_RANK is not 0. It writes nothing to the output folder but what the training processes
write themselves; how the task went stands in the log.
"""

import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# `python ymir/train_node.py` puts ymir/ on the import path, where its modules would be found under second names.
sys.path[:] = [str(ROOT), *(path for path in sys.path if Path(path or '.').resolve() != ROOT / 'ymir')]

from tmi.errors import MEMORY_ADVICE_VARIABLE
from tmi.processes import ERROR_FILE_VARIABLE, ErrorRecord
from tmi.training.nodes import NodeLink, Nodes
from ymir.environment import configure_logging, prepare_environment
from ymir.errors import as_task_error, print_failure
from ymir_exc.env import get_current_env


def main() -> int:
    """Follow node 0; returns the exit status."""
    prepare_environment()
    configure_logging()
    if not get_current_env().run_training:
        print('Mining and inference run on node 0 alone: nothing is to do here.')
        return 0
    os.environ[MEMORY_ADVICE_VARIABLE] = 'training'
    from tmi.training.follow import follow

    with tempfile.TemporaryDirectory(prefix='ymir-error-', ignore_cleanup_errors=True) as folder:
        os.environ[ERROR_FILE_VARIABLE] = os.path.join(folder, 'error.json')
        with NodeLink(Nodes.of()) as link:
            follow(link, ROOT / 'ymir' / 'train_process.py')
    print('The training is finished; its results are in the output folder of node 0.')
    return 0


if __name__ == '__main__':
    try:
        status = main()
    except Exception as error:
        print_failure(ErrorRecord.of(as_task_error(error), f'node {os.environ.get("NODE_RANK")}'))
        status = 1
    sys.exit(status)
