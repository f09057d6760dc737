"""Mining: the candidate images in the order in which they are worth labelling (contract sections a.4 and d.5).

Started by `start.py`; imports no torch. When inference follows in the same run, the network runs here for both.
"""

import logging
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[1]
# `python ymir/ymir_mining.py` puts ymir/ on the import path, where its modules would be found under second names.
sys.path[:] = [str(PROJECT_ROOT), *(path for path in sys.path if Path(path or '.').resolve() != PROJECT_ROOT / 'ymir')]

from tmi.processes import end_with_parent  # noqa: E402
from ymir.errors import report_uncaught, run_task  # noqa: E402

if __name__ == '__main__':
    end_with_parent()
    report_uncaught('mining')  # also what goes wrong in the imports that follow

from tmi.inference.embeddings import Embeddings  # noqa: E402
from tmi.inference.plan import PredictionPlan, make_plan  # noqa: E402
from tmi.inference.run import followed_plan, predict  # noqa: E402
from tmi.inference.shards import Prediction, merge_shards  # noqa: E402
from tmi.mining import ALGORITHMS, Algorithm  # noqa: E402
from tmi.mining.rank import Ranking, rank  # noqa: E402
from tmi.mining.stats import load_stats  # noqa: E402
from ymir.candidates import count_candidates, iter_candidates  # noqa: E402
from ymir.environment import configure_logging, prepare_environment  # noqa: E402
from ymir.mining_result import write_order  # noqa: E402
from ymir.mining_summary import first_positions, named_positions, write_summary  # noqa: E402
from ymir.output_paths import prediction_folder  # noqa: E402
from ymir.params import InferParams, MiningParams, load_params  # noqa: E402
from ymir.progress import PredictionProgress  # noqa: E402
from ymir.results import SkippedCandidates  # noqa: E402
from ymir_exc.env import EnvConfig, get_current_env, get_executor_config  # noqa: E402
from ymir_exc.mining_summary import MINING_SUMMARY_FILE  # noqa: E402
from ymir_exc.monitor import YmirTask  # noqa: E402

logger = logging.getLogger('ymir')


def rank_paths(algorithm: Algorithm, env: EnvConfig) -> Ranking:
    """Rank the candidates by their paths alone, for an algorithm that needs no model.

    Args:
        algorithm: What scores them.
        env: Of the task.

    Returns:
        The ranking.
    """
    index_file = env.input.candidate_index_file
    total = count_candidates(index_file)
    with PredictionProgress(YmirTask.MINING, total) as progress:

        def listed() -> Iterator[Prediction]:
            for index, path in enumerate(iter_candidates(index_file)):
                yield Prediction(index, path, size=())  # an image that nobody looks at counts as readable
                progress.update(index + 1)

        return rank(listed(), total, algorithm)


def rank_predictions(
    algorithm: Algorithm, params: MiningParams, env: EnvConfig, skipped: SkippedCandidates
) -> tuple[Ranking, PredictionPlan]:
    """Predict every candidate and rank them by what was found.

    Args:
        algorithm: What scores them.
        params: Of the task.
        env: Of the task.
        skipped: Collects the images that cannot be read.

    Returns:
        The ranking, and what was predicted.
    """
    threshold = algorithm.score_thr
    if env.run_infer:  # it needs boxes of its own threshold, and gets both tasks' keys from one config.yaml
        threshold = min(threshold, load_params(InferParams, get_executor_config(), warn=False).conf_threshold)
    index_file = env.input.candidate_index_file
    masks = params.masks and env.run_infer  # mining looks at boxes, inference takes over the predictions
    plan = make_plan(params, index_file, count_candidates(index_file), env.input.models_dir, threshold, params, masks)
    with PredictionProgress(YmirTask.MINING, plan.num_images) as progress:
        folder = prediction_folder(env.output.root_dir)
        predictions = skipped.watch(predict(plan, iter_candidates(index_file), folder, progress.update))
        plan = followed_plan(folder)
        embeddings = Embeddings(folder, plan.world_size, plan.num_images)
        return rank(predictions, plan.num_images, algorithm, embeddings, folder, progress.order), plan


def explain(
    algorithm: Algorithm, ranking: Ranking, plan: PredictionPlan | None, env: EnvConfig, missing: Sequence[str]
) -> None:
    """Write mining-summary.json.

    Args:
        algorithm: What scored the images.
        ranking: Of all images.
        plan: What was predicted, None if nothing.
        env: Of the task.
        missing: What is not known of the labelled images.
    """
    named = named_positions(ranking)
    index_file = env.input.candidate_index_file
    paths = {index: path for index, path in enumerate(iter_candidates(index_file)) if index in named}
    first: dict[int, Prediction] = {}
    embeddings = None
    if plan is not None:
        folder = prediction_folder(env.output.root_dir)
        shown = set(first_positions(ranking))
        found = merge_shards(folder, plan.world_size, plan.num_images, shown)
        first = {prediction.index: prediction for prediction in found}
        embeddings = Embeddings(folder, plan.world_size, plan.num_images)
    write_summary(Path(env.output.root_dir), algorithm, ranking, first, paths, embeddings, missing)


def _warn_of_weights(params: MiningParams) -> None:
    """Say so if there are not as many class weights as classes."""
    given, needed = len(params.class_distribution_scores), len(params.class_names)
    if given not in (0, needed):
        what = 'the classes that it does not reach count 1' if given < needed else 'the last ones have no effect'
        logger.warning('class_distribution_scores has %d numbers for %d classes: %s', given, needed, what)


def main() -> None:
    """Rank all candidates, write result.tsv and say why."""
    prepare_environment()
    configure_logging()
    env = get_current_env()
    params = load_params(MiningParams, get_executor_config())
    configure_logging(params.log_level)
    kind = ALGORITHMS[params.mining_algorithm]
    stats, missing = None, []
    if kind.passes and kind.uses_stats:
        stats, missing = load_stats(params.model_params_path, env.input.models_dir, params.class_names)
    algorithm = kind(params, stats)
    _warn_of_weights(params)
    index_file = env.input.candidate_index_file
    skipped = SkippedCandidates(env.output.root_dir, count_candidates(index_file))
    plan = None
    if algorithm.passes:
        ranking, plan = rank_predictions(algorithm, params, env, skipped)
    else:
        ranking = rank_paths(algorithm, env)
    write_order(iter_candidates(index_file), ranking.positions)
    try:
        explain(algorithm, ranking, plan, env, missing)
    except Exception as error:  # the ranking is written, which is what counts
        logger.warning('%s cannot be written, so the report will not say why: %s', MINING_SUMMARY_FILE, error)
        logger.debug('The reason', exc_info=True)
    logger.info(
        '%d images in the order of %s: %s',
        len(ranking.positions),
        params.mining_algorithm,
        env.output.mining_result_file,
    )
    if not env.run_infer:  # else inference follows, with the same predictions, and reports what was skipped
        shutil.rmtree(prediction_folder(env.output.root_dir), ignore_errors=True)
        skipped.report()


if __name__ == '__main__':
    run_task('mining', main)
