"""Detects in every frame of a video: python demo/video_demo.py VIDEO CONFIG CHECKPOINT --out FILE.mp4 [--show]."""

import argparse
import sys
from pathlib import Path

import mmyolo  # noqa: F401  stands in for mmcv._ext before mmdet is imported

# isort: split
import cv2
import mmcv

from mmyolo.tools.demo.inference import (
    add_detector_arguments,
    build_painter,
    build_pipeline,
    detect,
    load_detector,
    select,
)
from mmyolo.utils.terminal import progress


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Detect in a video')
    add_detector_arguments(parser, 'video', 'video file')
    parser.add_argument('--out', help='the video to write, .mp4')
    parser.add_argument('--show', action='store_true', help='show the frames in a window')
    parser.add_argument('--wait-time', type=float, default=1, help='milliseconds between frames in the window')
    args = parser.parse_args()
    if args.out is None and not args.show:
        parser.error('say where the frames go: --out FILE.mp4, --show or both')
    return args


def open_writer(path: str, video: mmcv.VideoReader) -> cv2.VideoWriter:
    """Open a file for frames of the video's size and rate; its folder is made."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'mp4v'), video.fps, (video.width, video.height))
    if not writer.isOpened():
        raise OSError(f'OpenCV cannot write {path}; use a name that ends in .mp4')
    return writer


def main() -> None:
    args = parse_args()
    if not Path(args.video).is_file():
        raise FileNotFoundError(f'There is no file {args.video}')
    video = mmcv.VideoReader(args.video)
    if not len(video):
        raise ValueError(f'OpenCV finds no frame in {args.video}; is it a video?')
    model = load_detector(args.config, args.checkpoint, args.device)
    pipeline = build_pipeline(model, from_array=True)
    paint = build_painter(model)
    writer = open_writer(args.out, video) if args.out else None

    unreadable = 0
    for _ in progress(range(len(video)), 'Frames'):
        frame = video.read()
        if frame is None:  # damaged, or the container promises more frames than it holds
            unreadable += 1
            continue
        result = select(detect(model, [frame], pipeline)[0], args.score_thr)
        picture = paint(frame[..., ::-1], result)[..., ::-1]
        if args.show:
            cv2.namedWindow('video', 0)
            mmcv.imshow(picture, 'video', int(args.wait_time))
        if writer is not None:
            writer.write(picture)
    if unreadable:
        print(f'{unreadable} of {len(video)} frames could not be read and are left out', file=sys.stderr)
    if writer is not None:
        writer.release()
        print(f'The video stands in {Path(args.out).absolute()}')
    if args.show:
        cv2.destroyAllWindows()


if __name__ == '__main__':
    main()
