"""An evaluation as a table, with the paper's figures below it."""

from dataclasses import astuple, dataclass

from rich.table import Table

from rvm_export.evaluate.evaluation import Evaluation

_COLUMNS = ("MAD", "MSE", "Grad", "Conn", "dtSSD", "fgr MSE")
_NOT_SAID = "-"


@dataclass(frozen=True)
class Published:
    """What Lin et al. 2022 print of one of their models."""

    network: str
    width_pixels: int
    height_pixels: int
    mad: float | None
    mse: float | None
    grad: float | None
    conn: float | None
    dtssd: float | None

    @property
    def name(self) -> str:
        """The row's."""
        return f"paper, {self.network}, VideoMatte {self.width_pixels}x{self.height_pixels}"


PUBLISHED = (
    Published("MobileNetV3", 512, 288, 6.08, 1.47, 0.88, 0.41, 1.36),
    Published("ResNet50", 512, 288, 5.32, 0.62, 0.59, 0.30, 1.24),
    Published("MobileNetV3", 1920, 1080, None, 1.93, None, None, None),
    Published("ResNet50", 1920, 1080, None, 0.97, None, None, None),
)
PAPER_NOTE = (
    "The paper's figures (Lin et al. 2022) are of its own set, VideoMatte, with the official "
    "weights: on any other set they are no yardstick. 0 is perfect; Grad and Conn grow with the "
    "picture."
)


def table_of(evaluation: Evaluation) -> Table:
    """A row for each clip, their mean, and what the paper has at this size."""
    table = Table(box=None)
    table.add_column("clip")
    for column in ("frames", "ratio", *_COLUMNS):
        table.add_column(column, justify="right")
    for score in evaluation.clips:
        row = (str(len(score.by_frame)), f"{score.downsample_ratio:.3g}")
        table.add_row(score.clip.name, *row, *_cells(astuple(score.mean)))
    frames = sum(len(score.by_frame) for score in evaluation.clips)
    table.add_row("mean", str(frames), "", *_cells(astuple(evaluation.mean)))
    for published in _of_this_size(evaluation):
        figures = astuple(published)[3:]
        table.add_row(published.name, "", "", *_cells((*figures, None)), style="dim")
    return table


def _of_this_size(evaluation: Evaluation) -> list[Published]:
    """The paper's figures at the size of all clips; those of the small set where it has none."""
    (first, *others) = {(s.clip.width_pixels, s.clip.height_pixels) for s in evaluation.clips}
    sizes = {(p.width_pixels, p.height_pixels) for p in PUBLISHED}
    size = first if not others and first in sizes else (512, 288)
    return [p for p in PUBLISHED if (p.width_pixels, p.height_pixels) == size]


def _cells(figures: tuple[float | None, ...]) -> list[str]:
    return [_NOT_SAID if figure is None else f"{figure:.2f}" for figure in figures]
