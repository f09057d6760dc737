"""Mining: the candidate images in the order in which they are worth labelling (contract sections a.4 and d.5).

Started by `start.py`; imports no torch. When inference follows in the same run, the network runs here for both.
"""

import logging
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[1]
# `python ymir/ymir_mining.py` puts ymir/ on the import path, where its modules would be found under second names.
sys.path[:] = [str(PROJECT_ROOT), *(path for path in sys.path if Path(path or '.').resolve() != PROJECT_ROOT / 'ymir')]

from ymir.errors import report_uncaught, run_task  # noqa: E402

if __name__ == '__main__':
    report_uncaught('mining')  # also what goes wrong in the imports that follow

from tmi.inference.plan import make_plan  # noqa: E402
from tmi.inference.run import predict  # noqa: E402
from tmi.mining import ALGORITHMS, Scorer  # noqa: E402
from ymir.candidates import count_candidates, iter_candidates  # noqa: E402
from ymir.environment import configure_logging, prepare_environment  # noqa: E402
from ymir.mining_result import write_order  # noqa: E402
from ymir.output_paths import prediction_folder  # noqa: E402
from ymir.params import InferParams, MiningParams, load_params  # noqa: E402
from ymir.progress import PredictionProgress  # noqa: E402
from ymir.results import SkippedCandidates  # noqa: E402
from ymir_exc.env import EnvConfig, get_current_env, get_executor_config  # noqa: E402
from ymir_exc.monitor import YmirTask  # noqa: E402

logger = logging.getLogger('ymir')

Scores = Iterator[tuple[str, float | None]]


def score_paths(scorer: Scorer, env: EnvConfig) -> Scores:
    """Score every candidate by its path alone, for a scorer that needs no predictions.

    Args:
        scorer: The scorer.
        env: Of the task.

    Yields:
        Path and score of every candidate.
    """
    total = count_candidates(env.input.candidate_index_file)
    with PredictionProgress(YmirTask.MINING, total) as progress:
        for done, path in enumerate(iter_candidates(env.input.candidate_index_file), 1):
            yield path, scorer.score(path, None)
            progress.update(done)


def score_predictions(scorer: Scorer, params: MiningParams, env: EnvConfig, skipped: SkippedCandidates) -> Scores:
    """Predict every candidate and score what was found.

    Args:
        scorer: The scorer.
        params: Of the task.
        env: Of the task.
        skipped: Collects the images that cannot be read.

    Yields:
        Path and score of every candidate, None for an image that cannot be read.
    """
    threshold = params.conf_threshold
    if env.run_infer:  # it needs boxes of its own threshold, and gets both tasks' keys from one config.yaml
        threshold = min(threshold, load_params(InferParams, get_executor_config(), warn=False).conf_threshold)
    index_file = env.input.candidate_index_file
    plan = make_plan(params, index_file, count_candidates(index_file), env.input.models_dir, threshold)
    with PredictionProgress(YmirTask.MINING, plan.num_images) as progress:
        folder = prediction_folder(env.output.root_dir)
        predictions = predict(plan, iter_candidates(index_file), folder, progress.update)
        for prediction in skipped.watch(predictions):
            boxes = prediction.above(params.conf_threshold)
            yield prediction.path, scorer.score(prediction.path, boxes) if prediction.readable else None


def main() -> None:
    """Score all candidates and write result.tsv."""
    prepare_environment()
    configure_logging()
    env = get_current_env()
    params = load_params(MiningParams, get_executor_config())
    configure_logging(params.log_level)
    shutil.rmtree(prediction_folder(env.output.root_dir), ignore_errors=True)  # of an earlier run in the same /out
    scorer = ALGORITHMS[params.mining_algorithm](params.seed)
    skipped = SkippedCandidates(env.output.root_dir, count_candidates(env.input.candidate_index_file))
    scores = score_predictions(scorer, params, env, skipped) if scorer.needs_predictions else score_paths(scorer, env)
    count = write_order(scores)
    logger.info('%d images in the order of %s: %s', count, params.mining_algorithm, env.output.mining_result_file)
    if not env.run_infer:  # else inference follows, with the same predictions, and reports what was skipped
        shutil.rmtree(prediction_folder(env.output.root_dir), ignore_errors=True)
        skipped.report()


if __name__ == '__main__':
    run_task('mining', main)
