"""A version measured against true alphas: clip by clip, frame by frame."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from rvm_export.evaluate.dataset import Clip
from rvm_export.evaluate.matting import ScenesAndRatio, Version, matte
from rvm_export.evaluate.metrics import Figures, Frame, measure


@dataclass(frozen=True)
class ClipScore:
    """How good the mattes of one clip are."""

    clip: Clip
    downsample_ratio: float
    cuts: tuple[int, ...]
    """The frames that were found to begin a scene after a cut."""
    by_frame: tuple[Figures, ...]

    @property
    def mean(self) -> Figures:
        """Over all frames."""
        return Figures.mean([*self.by_frame])


@dataclass(frozen=True)
class Evaluation:
    """How good a version is on a dataset."""

    version: Version
    how: ScenesAndRatio
    clips: tuple[ClipScore, ...]

    @property
    def mean(self) -> Figures:
        """Over the clips, each of which counts the same."""
        return Figures.mean([clip.mean for clip in self.clips])

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "model": self.version.repository.kind.name,
            "version": self.version.number,
            "model_sha256": self.version.manifest.model_sha256,
            "precision": self.version.manifest.precision.value,
            "device": self.version.subject.device,
            "warm_start": self.how.warm_start,
            "cuts": self.how.cuts,
            "mean": asdict(self.mean),
            "clips": [_clip_as_dict(score) for score in self.clips],
        }


def evaluate(
    clips: list[Clip], version: Version, how: ScenesAndRatio, on_frame: Callable[[], None]
) -> Evaluation:
    """Matte each clip and measure each frame; `on_frame` is called after each.

    Raises:
        DatasetError: a frame cannot be read.
        VerificationError: the model does not run.
    """
    return Evaluation(version, how, tuple(_score(clip, version, how, on_frame) for clip in clips))


def _score(
    clip: Clip, version: Version, how: ScenesAndRatio, on_frame: Callable[[], None]
) -> ClipScore:
    matted = matte(clip, version.subject, how)
    found_before: Frame | None = None
    true_before: Frame | None = None
    by_frame: list[Figures] = []
    for index, found in enumerate(matted.frames):
        true = clip.truth(index)
        by_frame.append(measure(found, true, found_before, true_before))
        found_before, true_before = found, true
        on_frame()
    ratio = how.options.ratio_for(clip.width_pixels, clip.height_pixels)
    return ClipScore(clip, ratio, tuple(matted.cuts), tuple(by_frame))


def _clip_as_dict(score: ClipScore) -> dict[str, object]:
    return {
        "clip": score.clip.name,
        "frames": len(score.by_frame),
        "width_pixels": score.clip.width_pixels,
        "height_pixels": score.clip.height_pixels,
        "downsample_ratio": score.downsample_ratio,
        "cuts_found": score.cuts,
        "mean": asdict(score.mean),
        "by_frame": [asdict(figures) for figures in score.by_frame],
    }
