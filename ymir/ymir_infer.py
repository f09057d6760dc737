"""Inference: boxes, or objects with masks, for every candidate image (contract sections a.4, d.3 and d.4).

Started by `start.py`; imports no torch.
"""

import logging
import shutil
import sys
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[1]
# `python ymir/ymir_infer.py` puts ymir/ on the import path, where its modules would be found under second names.
sys.path[:] = [str(PROJECT_ROOT), *(path for path in sys.path if Path(path or '.').resolve() != PROJECT_ROOT / 'ymir')]

from tmi.processes import end_with_parent  # noqa: E402
from ymir.errors import report_uncaught, run_task  # noqa: E402

if __name__ == '__main__':
    end_with_parent()
    report_uncaught('inference')  # also what goes wrong in the imports that follow

from tmi.inference.plan import make_plan  # noqa: E402
from tmi.inference.run import predict  # noqa: E402
from ymir.candidates import count_candidates, iter_candidates  # noqa: E402
from ymir.environment import configure_logging, prepare_environment  # noqa: E402
from ymir.output_paths import prediction_folder  # noqa: E402
from ymir.params import InferParams, load_params  # noqa: E402
from ymir.progress import PredictionProgress  # noqa: E402
from ymir.results import SkippedCandidates, write_infer_result  # noqa: E402
from ymir_exc.env import get_current_env, get_executor_config  # noqa: E402
from ymir_exc.monitor import YmirTask  # noqa: E402

logger = logging.getLogger('ymir')


def main() -> None:
    """Infer and write infer-result.json."""
    prepare_environment()
    configure_logging()
    env = get_current_env()
    params = load_params(InferParams, get_executor_config(), warn=not env.run_mining)
    configure_logging(params.log_level)
    index_file = env.input.candidate_index_file
    total = count_candidates(index_file)
    plan = make_plan(params, index_file, total, env.input.models_dir, params.conf_threshold, masks=params.masks)
    folder = prediction_folder(env.output.root_dir)
    with PredictionProgress(YmirTask.INFER, plan.num_images) as progress:
        skipped = SkippedCandidates(env.output.root_dir, plan.num_images)
        predictions = predict(plan, iter_candidates(index_file), folder, progress.update)
        objects = write_infer_result(skipped.watch(predictions), plan.class_names, params.masks)
    logger.info(
        '%d objects above %g in %d images: %s',
        objects,
        params.conf_threshold,
        plan.num_images,
        env.output.infer_result_file,
    )
    shutil.rmtree(folder)
    skipped.report()


if __name__ == '__main__':
    run_task('infer', main)
