"""A Python that has imported PyTorch and mmyolo already: what runs our scripts as processes starts in no time.

Each start of a training imports for three to five seconds and then works for one. `warm_python()` gives a program that
takes the place of `sys.executable`: it asks a server, which has the imports behind it, to fork. The fork gets
arguments, environment, current folder and streams of the caller, and starts further processes in the same way, because
its `sys.executable` is that program. What it cannot show, some tests show with `sys.executable`: that a script imports
what it needs, in the right order, and what signals and kills do (a fork is not a child of its caller).
"""

import ast
import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# What tasks import in their course. Not ymir and ymir_exc, which read the environment when they are imported.
FURTHER = (
    'mmyolo.utils.config_types',
    'mmyolo.visualization',
    'pydantic.json_schema',
    'torch.utils.tensorboard',
    'torch.distributed.run',
    'yapf.yapflib.yapf_api',
    'matplotlib.backends.backend_agg',
    'faster_coco_eval',
    'torch._dynamo',
    'typer.rich_utils',
)

# The program. It is killed by what its process was killed by, and its own end is the end of the process.
CLIENT = """#!{python} -IS
import array, json, os, signal, socket, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
request = json.dumps([sys.argv, os.getcwd(), dict(os.environ), sorted(os.sched_getaffinity(0))]).encode()
server.sendmsg([len(request).to_bytes(4, 'big')], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0, 1, 2]))])
server.sendall(request)
status = int(server.recv(16) or b'1')
if status < 0:
    signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
    os.kill(os.getpid(), -status)
os._exit(status)
"""


@functools.cache
def warm_python() -> str:
    """The path of the program; the first call starts the server, which ends with this process."""
    folder = tempfile.mkdtemp(prefix='warm-python-')
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    program, address = Path(folder, 'python'), str(Path(folder, 'socket'))
    program.write_text(CLIENT.format(python=sys.executable, address=address))
    program.chmod(0o755)
    environ = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    server = subprocess.Popen(
        [sys.executable, '-m', 'tests.warm_python', address, str(program)],
        cwd=ROOT,
        env=environ,
        stdin=subprocess.PIPE,  # closed when this process ends, however it ends
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    atexit.register(lambda: (server.stdin.close(), server.stdout.close(), server.wait()))
    assert server.stdout.read(1) == b'.', 'the server did not start'
    return str(program)


def receive(connection: socket.socket) -> tuple[list, list[int]]:
    """A request of the program and its three streams."""
    length, streams, *_ = socket.recv_fds(connection, 4, 3)
    content = b''
    while len(content) < int.from_bytes(length, 'big') and (part := connection.recv(1 << 16)):
        content += part
    return json.loads(content), streams  # ValueError where the program was killed meanwhile


def serve(address: str, ready: int) -> tuple[list, list[int]]:
    """Say at `ready` that it begins, and fork for each request; return in the fork with request and streams."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    waiting = selectors.DefaultSelector()
    waiting.register(0, selectors.EVENT_READ, 'end')
    waiting.register(listener, selectors.EVENT_READ, 'request')
    os.write(ready, b'.')
    os.close(ready)
    running: set[int] = set()
    while True:
        for key, _ in waiting.select():
            if key.data == 'end':
                os._exit(0)
            if key.data == 'request':
                connection, _ = listener.accept()
                try:
                    request, streams = receive(connection)
                except (ValueError, OSError):
                    connection.close()
                    continue
                pid = os.fork()
                if not pid:
                    waiting.close()
                    listener.close()
                    connection.close()
                    return request, streams
                for stream in streams:
                    os.close(stream)
                running.add(pid)
                ended = os.pidfd_open(pid)
                waiting.register(ended, selectors.EVENT_READ, (pid, connection, ended))
                waiting.register(connection, selectors.EVENT_READ, (pid, connection, ended))
                continue
            pid, connection, ended = key.data
            if pid not in running:
                continue  # both happened at once
            running.remove(pid)
            if key.fileobj is connection:  # the program was killed
                os.kill(pid, signal.SIGKILL)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            try:
                connection.sendall(str(status).encode())
            except OSError:
                pass  # nobody waits
            waiting.unregister(ended)
            waiting.unregister(connection)
            os.close(ended)
            connection.close()


def become(request: list, streams: list[int]) -> tuple[str, str]:
    """Make this fork what the request asks for; returns what to run: '-c', '-m' or a file, and its value."""
    import random
    import warnings

    import numpy as np

    arguments, folder, environ, cores = request
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    os.sched_setaffinity(0, cores)
    sys.executable, *words = arguments
    direct = bool(environ.get('PYTHONUNBUFFERED'))
    while words[0] in ('-u', '-W', '-I'):
        direct |= words.pop(0) == '-u'
    sys.stdout, sys.stderr = (open(number, 'w', encoding='utf-8', buffering=1) for number in (1, 2))
    sys.stdout.reconfigure(write_through=direct)
    sys.stdin = open(0)
    for rule in environ.get('PYTHONWARNINGS', '').split(','):
        action, _, category = (rule.split(':') + ['', ''])[:3]
        if action:
            warnings.simplefilter(action, getattr(__builtins__, category, Warning))
    random.seed()
    np.random.seed()
    kind = words.pop(0) if words[0] in ('-c', '-m') else 'file'
    value = words.pop(0)
    sys.argv[:] = [value if kind != '-c' else '-c', *words]
    beside = str(Path(value).resolve().parent) if kind == 'file' else '' if kind == '-c' else os.getcwd()
    sys.path[:] = [beside, *filter(None, environ.get('PYTHONPATH', '').split(os.pathsep)), *sys.path[2:]]
    return kind, value


def leave_configs_unformatted() -> Callable:
    """Have mmengine check the text of a config as ever, but not format it: yapf takes a second for that."""
    from yapf.yapflib import yapf_api

    def only_checked(text: str, **options: object) -> tuple[str, bool]:
        ast.parse(text)
        return text, False

    formatting, yapf_api.FormatCode = yapf_api.FormatCode, only_checked
    return formatting


def run(kind: str, value: str) -> int:
    """Run it as Python runs a program; returns the exit status."""
    try:
        if kind == '-c':
            exec(compile(value, '<string>', 'exec'), {'__name__': '__main__', '__builtins__': __builtins__})
        elif kind == '-m':
            runpy.run_module(value, run_name='__main__', alter_sys=True)
        else:
            runpy.run_path(value, run_name='__main__')
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def main() -> None:
    ready = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # packages print while they are imported
    from mmyolo.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    for name in FURTHER:
        importlib.import_module(name)
    leave_configs_unformatted()

    gc.collect()
    gc.freeze()  # what is here stays for good: no fork need look at it
    status = run(*become(*serve(sys.argv[1], ready)))
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # taking all modules apart would last longer than most programs


if __name__ == '__main__':
    main()
