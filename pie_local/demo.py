"""The demo: draws a data set, trains on it as the platform would, and shows what was learned.

One entry of `DEMOS` per task that the network package trains. What is learned is measured by the package itself on
validation images, read from its trainlog.json, and wanted to reach a limit that a package which does not learn misses.
At the end the package predicts a large picture.
"""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .data_set import read_data_set
from .draw import draw_data_set, draw_large
from .parameters import make_parameters
from .platform import start_platform
from .predict import run_prediction
from .run import RunResult, copy_package, run_training

PACKAGE = Path(__file__).resolve().parents[1] / 'pie'
SCRIPT, LAST_LINES = 'Predict.py', 3


@dataclass(frozen=True)
class Demo:
    """What the demo of a task does.

    Attributes:
        metric: Of trainlog.json.
        limit: What it must reach in the best epoch.
        row: The class whose metric counts.
        decides: The metric whose highest value of the row `all` makes an epoch the best.
        images: How many are drawn.
        size: Their width and height.
        parameters: Of the training.
    """

    metric: str
    limit: float
    row: str = 'all'
    decides: str = 'IoU'
    images: int = 160
    size: int = 128
    parameters: dict[str, Any] = field(default_factory=dict)


PARAMETERS: dict[str, Any] = {'batch_size': 8, 'load_size': '128,128', 'learning_rate': 0}  # 0: the recipe's rate
DEMOS = {
    'detection': Demo('mAP', 0.5, decides='mAP', parameters={'model_name': 'yolov8_n', 'epochs': 15, **PARAMETERS}),
    'segmentation': Demo('IoU', 0.8, parameters={'model_name': 'fpn_n', 'epochs': 12, **PARAMETERS}),
    'change': Demo('score', 0.7, row='change', parameters={'model_name': 'siam_fpn_n', 'epochs': 12, **PARAMETERS}),
}


@dataclass(frozen=True)
class DemoResult:
    """What a task of the demo brought.

    Attributes:
        task: A key of `DEMOS`.
        run: How its training ended.
        value: The metric of the best epoch; 0 where there is none.
        seconds: With drawing and upload.
        picture: What was predicted, on the best image of the last epoch.
        large: What was predicted of a large picture; None where that failed, or the package has no Predict.py.
        said: The last lines of Predict.py; none where the package has no such script.
    """

    task: str
    run: RunResult
    value: float
    seconds: float
    picture: Path
    large: Path | None = None
    said: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the platform could push each epoch, enough was learned, and a large picture could be predicted."""
        predicted = self.large is not None or not self.said
        return not self.run.findings and self.value >= DEMOS[self.task].limit and predicted


def run_demo(
    task: str,
    out: Path,
    package: Path = PACKAGE,
    on_line: Callable[[str], None] = lambda line: None,
    on_push: Callable[[Any, Sequence[Any]], None] = lambda push, findings: None,
    stop: threading.Event | None = None,
) -> DemoResult:
    """Run the demo of a task.

    Args:
        task: A key of `DEMOS`.
        out: Its folder; what an earlier demo left there is removed.
        package: The network package.
        on_line: As `run_training` takes it.
        on_push: As `run_training` takes it.
        stop: As `run_training` takes it.
    """
    demo, begin = DEMOS[task], time.monotonic()
    for name in ('data', 'run', 'large'):
        shutil.rmtree(out / name, ignore_errors=True)
    draw_data_set(out / 'data', task, demo.images, demo.size)
    data = read_data_set(out / 'data')
    parameters = make_parameters(data, demo.parameters)
    script = copy_package(package, out / 'run')
    with tempfile.TemporaryDirectory(prefix='pie-') as folder, start_platform(Path(folder)) as platform:
        platform.add_data(data.folder, task, parameters['dataset_id'])
        run = run_training(script, parameters, platform, task, on_line=on_line, on_push=on_push, stop=stop)
    large: Path | None = None
    said: list[str] = []
    if (script.parent / SCRIPT).is_file() and not run.findings and not (stop is not None and stop.is_set()):
        image = ';'.join(map(str, draw_large(out / 'large', task)))
        prediction = run_prediction(out / 'run', image, {}, SCRIPT, on_line=said.append)
        large = prediction.results[0] if prediction.code == 0 and prediction.results else None
    picture, seconds = run.output / 'picture/pred.png', time.monotonic() - begin
    return DemoResult(task, run, _value(run.log, demo), seconds, picture, large, tuple(said[-LAST_LINES:]))


def _value(log: dict[str, Any], demo: Demo) -> float:
    """Return the metric of the demo in the best epoch of a log; 0 where there is none."""
    best, value = -1.0, 0.0
    for epoch in log.get('epochs') or []:
        try:
            rows = {row['class']: row['values'] for row in epoch['valid']}
            decides, found = float(rows['all'][demo.decides]), float(rows[demo.row][demo.metric])
        except (KeyError, TypeError, ValueError):
            continue  # the judge says what is wrong
        if decides > best:
            best, value = decides, found
    return value
