"""Predicts the blocks of a plan on the machines of a Ray cluster, with Ray Data; imports neither torch nor, before it
is asked for, Ray.

An actor pool maps a loaded model over the blocks (`ray_actor.py`). Ray starts lost actors again and gives them their
blocks again; what the actors return are a few numbers, while predictions lie in the blocks' folders on shared storage.
At the end the blocks are joined to the files that one process on one machine would have written.
"""

import json
import logging
import os
import queue
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tmi.devices import cpu_processes
from tmi.errors import StandstillError
from tmi.inference.blocks import (
    NODE_FILE,
    VISIBLE_SECONDS,
    Block,
    blocks_of,
    finished_blocks,
    make_blocks_folder,
    merge_blocks,
    work_in_progress,
)
from tmi.inference.engines import CHOICE_FILE, ENGINE_FOLDER, TORCH, log_choice
from tmi.inference.finite_check import FiniteCheck
from tmi.inference.image_list import iter_image_list
from tmi.inference.plan import MAX_CPU_PROCESSES, THREADS, PredictionPlan
from tmi.inference.ray_cluster import check_nodes, cluster_error, connected, describe_resources, usable_nodes
from tmi.inference.ray_node import fingerprint
from tmi.inference.supervise import BUSY, STANDSTILL_SECONDS, finished_images
from tmi.paths import PROJECT_ROOT
from tmi.processes import ERROR_FILE_VARIABLE, STANDSTILL_VARIABLE, ErrorRecord, leave_record, seconds_of

logger = logging.getLogger('tmi')

WATCH_SECONDS = 5.0
WAIT_SECONDS = 60  # without any work in progress, after which the log says so
INHERITED = ('TMI_', 'OPENCV_', 'MKL_', 'ONEDNN_', 'DNNL_', 'ATEN_')  # variables that the actors get, too


def run_blocks(plan: PredictionPlan, folder: Path, on_progress: Callable[[int], None]) -> None:
    """Predict the blocks that are not there yet, and join them.

    Args:
        plan: What to do; it lies in the folder.
        folder: Of the task's predictions, on storage that all machines share.
        on_progress: Called with the number of images done.

    Raises:
        TaskError: What is wrong with the cluster, or went wrong on a machine.
    """
    if finished_images(plan, folder, 0).images == plan.num_images:  # joined by a run that ended before it said so
        on_progress(plan.num_images)
        return
    finished = finished_blocks(plan, folder)
    root = make_blocks_folder(plan, folder, finished)
    numbers = {block.number for block in finished}
    todo = [block for block in blocks_of(plan) if block.number not in numbers]
    progress = Progress(plan, sum(block.stop - block.first for block in finished), on_progress)
    if todo:
        with connected(plan.ray_address):
            Pool(plan, root, todo, progress).run()
    merge_blocks(plan, folder)


class Progress:
    """Counts what is done and judges the model by it.

    Args:
        plan: Of the task.
        done: Images that are predicted already.
        on_progress: Called with the number of images done.
    """

    def __init__(self, plan: PredictionPlan, done: int, on_progress: Callable[[int], None]) -> None:
        self._plan, self._done, self._on_progress = plan, done, on_progress
        self._check: FiniteCheck | None = None
        self._warned = False
        on_progress(done)

    def add(self, block: Block, report: Mapping[str, Any]) -> None:
        """Count a block.

        Args:
            block: Which one.
            report: A `BlockReport`.

        Raises:
            TaskError: What went wrong in it.
        """
        if report['error']:
            record = ErrorRecord(**report['error'])
            print('\n'.join(record.trace), file=sys.stderr, flush=True)
            path = os.environ.get(ERROR_FILE_VARIABLE)
            if path:
                leave_record(path, record)
            raise record.to_error()
        if report['warning'] and not self._warned:
            self._warned = True
            logger.warning('%s', report['warning'])
        self._check = self._check or FiniteCheck(self._plan.checkpoint, report['half_precision'])
        self._check.add(report['images'], report['unusable'])
        self._done += block.stop - block.first
        self._on_progress(self._done)

    def end(self) -> None:
        """Judge the model after the last block."""
        if self._check is None:
            return
        self._check.end()
        if self._check.unusable:
            logger.warning(
                'The model gave numbers that are not finite (NaN or inf) for %d of %d images; boxes with such numbers '
                'were left out',
                self._check.unusable,
                self._check.images,
            )


class Pool:
    """The actors on all machines of a cluster that this process is connected to.

    Args:
        plan: Of the task.
        root: The folder of all blocks.
        todo: What is to be predicted.
        progress: Told about each block.
    """

    def __init__(self, plan: PredictionPlan, root: Path, todo: Sequence[Block], progress: Progress) -> None:
        self._root, self._todo, self._progress = root, {block.number: block for block in todo}, progress
        self._limit = seconds_of(STANDSTILL_VARIABLE) or STANDSTILL_SECONDS
        run = secrets.token_hex(4)
        token = root / f'token_{run}'
        token.touch()
        sizes = _sizes(plan, root)
        packages = fingerprint(PROJECT_ROOT)
        nodes = usable_nodes(plan)
        cpus = _cpus_of_actor(plan, nodes)
        self._places = sum(_places_of(plan, node, cpus) for node in nodes)
        check_nodes(nodes, str(token), sizes, packages)
        environ = {name: value for name, value in os.environ.items() if name.startswith(INHERITED)}
        environ.pop(ERROR_FILE_VARIABLE, None)
        environ['OMP_NUM_THREADS'] = environ['MKL_NUM_THREADS'] = str(THREADS)
        from tmi.inference.ray_actor import Work

        self._plan = plan
        work = Work(asdict(plan), str(root), run, str(token), sizes, packages, environ)
        self._work = json.dumps(asdict(work))
        self._resources = {'num_cpus': cpus, 'num_gpus': 1 if plan.gpu_ids else 0}
        logger.info(
            'Predicting %d images with %s in %d blocks on %d machines of the Ray cluster, %d at a time (%s)',
            sum(block.stop - block.first for block in todo),
            Path(plan.checkpoint).name,
            len(todo),
            len(nodes),
            self._places,
            'a GPU each' if plan.gpu_ids else 'CPU, one thread each',
        )

    def run(self) -> None:
        """Predict all blocks.

        Raises:
            TaskError: What went wrong in one, or that nothing goes on.
        """
        if self._plan.engine != TORCH and not (self._root / ENGINE_FOLDER / CHOICE_FILE).exists():
            self._choose_engine()
        reports: queue.Queue[str | Exception | None] = queue.Queue()
        threading.Thread(target=self._map, args=[reports], daemon=True).start()
        watch = ClusterWatch(self._root, self._limit)
        while True:
            try:
                item = reports.get(timeout=WATCH_SECONDS)
            except queue.Empty:
                watch.look()
                continue
            if item is None:
                break
            if isinstance(item, Exception):
                raise cluster_error(self._plan.ray_address, item) from item
            report = json.loads(item)
            self._progress.add(self._todo[report['number']], report)
            watch.look(report['number'])
        self._progress.end()

    def _map(self, reports: queue.Queue) -> None:
        """Put a report of each block, then None; or what failed."""
        try:
            import ray.data

            from tmi.inference.ray_actor import BlockPredictor

            logging.getLogger('ray.data').setLevel(logging.ERROR)
            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = context.print_on_execution_start = False
            items = [block._asdict() for block in self._todo.values()]
            # At least one, so that the last blocks of lost machines find a place once others have nothing to do.
            pool = ray.data.ActorPoolStrategy(
                min_size=1, max_size=len(items), initial_size=min(max(self._places, 1), len(items))
            )
            done = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
                BlockPredictor, batch_size=1, compute=pool, fn_constructor_args=[self._work], **self._resources
            )
            for row in done.iter_rows():
                reports.put(row['report'])
            reports.put(None)
        except Exception as error:  # raised in the thread that waits
            reports.put(error)

    def _choose_engine(self) -> None:
        """Let one machine choose the engine for all."""
        import ray

        from tmi.inference.ray_actor import BlockPredictor

        actor = ray.remote(BlockPredictor).options(max_restarts=3, max_task_retries=3, **self._resources)
        chooser = actor.remote(self._work)
        try:
            report = ray.get(chooser.choose_engine.remote(), timeout=self._limit * (BUSY + 1))
        except Exception as error:
            raise cluster_error(self._plan.ray_address, error) from error
        finally:
            ray.kill(chooser)
        if report.error:
            self._progress.add(Block(0, 0, 0), asdict(report))
        file = self._root / ENGINE_FOLDER / CHOICE_FILE
        deadline = time.monotonic() + VISIBLE_SECONDS
        while not file.exists() and time.monotonic() < deadline:  # another machine has written it
            time.sleep(0.5)
        choice = json.loads(file.read_text(encoding='utf-8'))
        log_choice(self._plan.engine, choice['engine'], choice['reason'])


class ClusterWatch:
    """Notices that a cluster does nothing for a task.

    An actor that stands still ends itself; this is for a cluster without room, or whose machines are gone.

    Args:
        root: The folder of all blocks.
        limit: Seconds without any attempt on a living machine that are too long.
    """

    def __init__(self, root: Path, limit: float) -> None:
        self._root, self._limit = root, limit
        self._seen: object = None
        self._since = self._looked = time.monotonic()
        self._has_warned = False

    def look(self, finished: object = None) -> None:
        """Look again.

        Args:
            finished: The block that has just been finished, if one was.

        Raises:
            TaskError: StandstillError if nothing changes for too long.
        """
        now = time.monotonic()
        if finished is None and now - self._looked < WATCH_SECONDS / 2:
            return
        self._looked = now
        if finished is not None:
            self._since, self._has_warned = now, False
            return
        import ray

        nodes = {node['NodeID'] for node in ray.nodes() if node['Alive']}
        seen = work_in_progress(self._root)
        working = any(_node_of(self._root / name) in nodes for name in seen)
        if seen != self._seen:
            self._seen, self._since, self._has_warned = seen, now, False
        idle = now - self._since
        if idle > self._limit * (BUSY + 1 if working else 1):
            raise StandstillError(
                f'The Ray cluster has predicted nothing for {idle:.0f} seconds; it has {describe_resources()}. '
                'Give it room or more machines and start the task again: finished blocks are kept.'
            )
        if not working and idle > WAIT_SECONDS and not self._has_warned:
            self._has_warned = True
            logger.warning('No machine of the Ray cluster works on this task; it has %s', describe_resources())


def _cpus_of_actor(plan: PredictionPlan, nodes: Sequence[Mapping[str, Any]]) -> int:
    """Return the CPUs that one actor takes: so each machine has about as many actors as processes without Ray."""
    least = min(int(node['Resources']['CPU']) for node in nodes)
    if plan.gpu_ids:
        return min(max(plan.workers, 1), *(_share(node) for node in nodes))
    return max(least // cpu_processes(min(least, MAX_CPU_PROCESSES)), 1)


def _share(node: Mapping[str, Any]) -> int:
    """Return the CPUs for each GPU of a machine."""
    return max(int(node['Resources']['CPU'] // node['Resources']['GPU']), 1)


def _places_of(plan: PredictionPlan, node: Mapping[str, Any], cpus: int) -> int:
    places = int(node['Resources']['CPU'] // cpus)
    return min(places, int(node['Resources']['GPU'])) if plan.gpu_ids else places


def _node_of(attempt: Path) -> str:
    try:
        return (attempt / NODE_FILE).read_text(encoding='utf-8')
    except OSError:
        return ''


def _sizes(plan: PredictionPlan, root: Path) -> dict[str, int]:
    """Return files that a task reads: the model, and the first, middle and last image that this machine can see."""
    paths = list(filter(None, (plan.checkpoint, plan.config)))
    for index in {0, plan.num_images // 2, plan.num_images - 1}:
        paths += [path for _, path in iter_image_list(root, first=index, stop=index + 1)]
    return {path: os.path.getsize(path) for path in paths if os.path.isfile(path)}
