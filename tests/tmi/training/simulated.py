"""A training on a machine whose speed the test sets: mmengine's hooks and our loop are real, the clock is not."""

from types import SimpleNamespace

import torch
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper

from tmi.training.train_loop import TaskTrainLoop

BATCH = 10


class Clock:
    """Stands in for the module `time`; shows what the simulation has spent."""

    def __init__(self):
        self.now = 1000.0
        self.worked = 0.0  # of a loader worker
        self.computed = 6.0  # by the process itself, before it trains

    def monotonic(self):
        return self.now

    def process_time(self):
        return self.computed

    def perf_counter(self):
        return self.worked


class Machine:
    """Speeds in seconds, which a test may change while the training runs.

    Args:
        step: of the model for a step.
        image: of a loader worker for an image.
        validation: of a validation.
    """

    def __init__(self, step=0.1, image=0.001, validation=1.0):
        self.step, self.image, self.validation = step, image, validation
        self.slower = lambda seconds: 1.0  # factor, by the seconds since the start


class Dataset:
    """Images that take a worker's time."""

    metainfo = {'classes': ('one',)}

    def __init__(self, clock, machine):
        self.clock, self.machine = clock, machine

    def prepare_data(self, index):
        self.clock.worked += self.machine.image
        return index


class Loader:
    """Hands out batches; what the workers have not ready when it is asked for is waited for.

    Args:
        runner: the simulation.
        steps: of an epoch.
        workers: that prepare batches.
    """

    _iterator = None
    worker_init_fn = None
    batch_size = BATCH

    def __init__(self, runner, steps, workers):
        self.runner, self.steps, self.num_workers = runner, steps, workers
        self.dataset = Dataset(runner.clock, runner.machine)

    def __len__(self):
        return self.steps

    def __iter__(self):
        runner, ready = self.runner, 0.0
        for index in range(self.steps):
            for image in range(BATCH):
                self.dataset.prepare_data(index * BATCH + image)
            asked = runner.clock.now
            ready = max(ready, asked - runner.machine.step) + runner.machine.image * BATCH / max(self.num_workers, 1)
            runner.spend(max(ready - asked, 0.0))
            ready = max(ready, runner.clock.now)
            yield index


class Runner:
    """What hooks and loop ask of mmengine's runner.

    Args:
        machine: how fast it is.
        clock: what it spends.
        steps: of an epoch.
        epochs: as asked for.
        workers: of the loader.
        hooks: called in this order.
    """

    def __init__(self, machine, clock, hooks, steps=20, epochs=100, workers=2):
        self.machine, self.clock, self._hooks, self.began = machine, clock, hooks, clock.now
        self.messages, self.validated = [], []
        self.logger = SimpleNamespace(
            info=lambda text, *values: self.messages.append(text % values),
            warning=lambda text, *values: self.messages.append(text % values),
        )
        self.visualizer = SimpleNamespace()
        self.seed = 0
        self.param_schedulers = None
        self.message_hub = MessageHub.get_instance(f'simulated-{id(self)}')
        self.cfg = SimpleNamespace(train_dataloader=SimpleNamespace())
        self.model = torch.nn.Module()
        self.model.train_step = self._step
        self.optim_wrapper = None
        self.val_loop = SimpleNamespace(run=self._validate)
        self.train_loop = TaskTrainLoop(self, Loader(self, steps, workers), epochs)

    hooks = property(lambda self: self._hooks)

    def register_hook(self, cfg):
        """Take no further hook: the data here has no pipeline to change."""

    def build_optim_wrapper(self, cfg):
        """Build an optimizer of three groups, whose schedule can be looked at."""
        kind = getattr(torch.optim, cfg['optimizer']['type'])
        groups = [{'params': [torch.nn.Parameter(torch.zeros(1))]} for _ in range(3)]
        optimizer = kind(groups, cfg['optimizer']['lr'])
        if 'momentum' in cfg['optimizer']:
            for group in optimizer.param_groups:
                group['momentum'] = cfg['optimizer']['momentum']
        return OptimWrapper(optimizer)

    def spend(self, seconds):
        self.clock.now += seconds * self.machine.slower(self.clock.now - self.began)

    def call_hook(self, name, **values):
        for hook in self._hooks:
            getattr(hook, name)(self, **values)

    def _step(self, data, optim_wrapper):
        self.spend(self.machine.step)
        if optim_wrapper is not None:
            optim_wrapper.step()
        return {}

    def _validate(self):
        self.spend(self.machine.validation)
        self.validated.append(self.epoch)
        self.call_hook('after_val_epoch', metrics={})

    train_dataloader = property(lambda self: self.train_loop.dataloader)
    epoch = property(lambda self: self.train_loop.epoch)
    iter = property(lambda self: self.train_loop.iter)
    max_epochs = property(lambda self: self.train_loop.max_epochs)
    max_iters = property(lambda self: self.train_loop.max_iters)
