"""Print how far alpha is from a settled run at the start and after cuts, as Markdown tables.

The settled run has seen the same frames forth and back before. Called by scripts/quality.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from rvm_client.config import load_settings
from rvm_client.decode import VideoReader
from rvm_client.errors import RvmError
from rvm_client.frames import Role, SourceChunk
from rvm_client.matte import MattingModel
from rvm_client.options import MatteOptions
from rvm_client.scenes import with_warm_up
from rvm_client.server import ServerOptions, TritonServer
from rvm_client.stopwatch import Stopwatch

Frames = npt.NDArray[np.uint8]

MOMENTS = (0, 1, 2, 4, 8, 16)
# Of each clip: what the moments need. A settled run that has seen more of the clip knows of
# things that are yet to happen.
CLIP_FRAMES = 18
CUT_SIZE = (640, 480)
CHUNK_FRAMES = 4
# Frames before a joint that warm the state up for it, and those behind it that are compared.
LEADS_FRAMES = (16, 32, 48, 64, 96, 128)
JOINT_FRAMES = 9
JOINT_WIDTH_PIXELS = 384


def main() -> None:
    arguments = parse_arguments()
    paths, frames = arguments.clips, arguments.frames
    try:
        with ExitStack() as stack:
            model = stack.enter_context(MattingModel(server_url(stack)))
            if arguments.joints:
                print_joints(model, paths)
                return
            clips = [(path.stem, read_clip(path, frames)) for path in paths]
            print_starts(model, clips)
            print_cuts(model, clips)
        print_cost(paths)
    except RvmError as exc:
        sys.exit(f"error: {exc}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/quality", description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path, metavar="VIDEO")
    parser.add_argument(
        "--frames", type=int, default=CLIP_FRAMES, help="of each clip (default: %(default)s)"
    )
    parser.add_argument(
        "--joints", action="store_true", help="instead: begin in the middle of each clip"
    )
    return parser.parse_args()


def server_url(stack: ExitStack) -> str:
    settings = load_settings()
    if settings.triton_url is not None:
        return settings.triton_url
    return stack.enter_context(TritonServer.start(ServerOptions.configured(settings))).grpc_url


def print_starts(model: MattingModel, clips: list[tuple[str, Frames]]) -> None:
    print(f"| clip | size | cold start | warm start |\n{'| --- ' * 4}|")
    for name, clip in clips:
        settled = matte_settled(model, clip)
        cold = matte(model, chunked(clip))
        warm = matte(model, with_warm_up(chunked(clip), frames_per_chunk=CHUNK_FRAMES))
        height, width = clip.shape[1:3]
        row = [name, f"{width}x{height}", figures(cold, settled), figures(warm, settled)]
        print(f"| {' | '.join(row)} |", flush=True)


def print_cuts(model: MattingModel, clips: list[tuple[str, Frames]]) -> None:
    """A cut from each clip to the next; from a lone clip to its mirror image."""
    clips = [(name, fit(clip)) for name, clip in clips]
    if len(clips) == 1:
        [(name, clip)] = clips
        clips.append((f"{name} mirrored", clip[:, :, ::-1].copy()))
    print(f"\n| cut | found | carried | emptied | warm |\n{'| --- ' * 5}|")
    for (name_a, a), (name_b, b) in zip(clips, clips[1:] + clips[:1], strict=True):
        both, cut = np.concatenate([a, b]), len(a)
        found: list[int] = []
        warmed = with_warm_up(chunked(both), frames_per_chunk=CHUNK_FRAMES, on_cut=found.append)
        settled = matte_settled(model, b)
        row = [
            f"{name_a} → {name_b}",
            figures(matte(model, chunked(both))[cut:], settled),
            figures(matte(model, chunked(b)), settled),
            figures(matte(model, warmed)[cut:], settled),
        ]
        row.insert(1, "yes" if found == [cut] else f"no: {found}")
        print(f"| {' | '.join(row)} |", flush=True)


def print_joints(model: MattingModel, paths: list[Path]) -> None:
    """Begun at two thirds of the clip, its state warmed on the frames before."""
    print(f"| clip | joint | {' | '.join(map(str, LEADS_FRAMES))} |")
    print("| --- " * (len(LEADS_FRAMES) + 2) + "|")
    for path in paths:
        with VideoReader(path, MatteOptions(max_width_pixels=JOINT_WIDTH_PIXELS)) as reader:
            clip = np.concatenate([chunk.src for chunk in reader.chunks(CHUNK_FRAMES)])
        joint = len(clip) * 2 // 3
        shown = clip[: joint + JOINT_FRAMES]
        whole = matte(model, with_warm_up(chunked(shown), frames_per_chunk=CHUNK_FRAMES))
        row = [path.stem, str(joint)]
        for lead in LEADS_FRAMES:
            alphas = matte(model, chunked(shown[max(0, joint - lead) :]))[-JOINT_FRAMES:]
            apart = np.abs(alphas.astype(np.int16) - whole[joint:]).mean(axis=(1, 2)) / 255 * 1000
            row.append(" ".join(f"{apart[i]:.2f}" for i in (0, 4, 8)))
        print(f"| {' | '.join(row)} |", flush=True)


def print_cost(paths: list[Path]) -> None:
    print(f"\n| clip | frames | cuts | extra frames |\n{'| --- ' * 4}|")
    for path in paths:
        cuts: list[int] = []
        frames = {Role.FRAMES: 0, Role.WARM_UP: 0}
        with VideoReader(path) as reader:
            chunks = reader.chunks(CHUNK_FRAMES)
            for chunk in with_warm_up(chunks, frames_per_chunk=CHUNK_FRAMES, on_cut=cuts.append):
                frames[chunk.role] += len(chunk.pts)
        real, extra = frames[Role.FRAMES], frames[Role.WARM_UP]
        print(f"| {path.stem} | {real} | {len(cuts)} | {extra} ({extra / real:.1%}) |")


def read_clip(path: Path, frames: int) -> Frames:
    """The first frames, [T,H,W,3]."""
    with VideoReader(path) as reader:
        return np.concatenate([chunk.src for chunk in islice(reader.chunks(1), frames)])


def fit(clip: Frames) -> Frames:
    """Scale and crop to the size of the cuts."""
    return np.stack([np.asarray(ImageOps.fit(Image.fromarray(f), CUT_SIZE)) for f in clip])


def chunked(frames: Frames) -> Iterator[SourceChunk]:
    for start in range(0, len(frames), CHUNK_FRAMES):
        src = frames[start : start + CHUNK_FRAMES]
        yield SourceChunk(src, tuple(range(start, start + len(src))))


def matte(model: MattingModel, chunks: Iterable[SourceChunk]) -> Frames:
    """Alpha of a video, [T,H,W]; at the ratio that the pipeline would choose."""
    chunks = iter(chunks)
    first = next(chunks)
    height, width = first.src.shape[1:3]
    session = model.session(MatteOptions().ratio_for(width, height))
    mattes = session.matte_all(chain([first], chunks), Stopwatch())
    return np.concatenate([chunk.pha for chunk in mattes])


def matte_settled(model: MattingModel, clip: Frames) -> Frames:
    before = np.concatenate([clip, clip[::-1]])
    return matte(model, chunked(np.concatenate([before, clip])))[len(before) :]


def figures(pha: Frames, settled: Frames) -> str:
    """Mean absolute difference of alpha in thousandths, at the moments."""
    apart = np.abs(pha.astype(np.int16) - settled).mean(axis=(1, 2)) / 255 * 1000
    return " ".join(f"{apart[i]:.2f}" for i in MOMENTS if i < len(apart))


main()
