"""The flags of `rvm-matte` that say how a video is matted; the same as a job's fields."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import click

from rvm_client.alpha_edges import EDGES_FORMS, Edges
from rvm_client.errors import UsageError
from rvm_client.options import (
    BITRATE_BOUNDS,
    QUALITY_LONGEST_SIDE_PIXELS,
    MatteOptions,
    ModelName,
    is_url,
)
from rvm_client.output_types import OutputType
from rvm_client.pixels import COLOUR_FORMS, Colour, parse_colour
from rvm_client.refinements import SOURCE_TYPES, Refinements, SourceType
from rvm_client.subject import Subject, parse_exclude
from rvm_client.wire import Variant

Command = TypeVar("Command", bound=Callable[..., Any])
Flag: TypeAlias = Callable[[Any], Any]


class _Ratio(click.ParamType[float | None]):
    """`auto` (None) or a number; the range is checked where the options are made."""

    name = "auto|R"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        if value == "auto":
            return None
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither auto nor a number above 0 and at most 1", param, ctx)


_TYPES = click.Choice([t.value for t in OutputType])
_TYPES_HELP = (
    "greenscreen: H.264 MP4. alpha: VP9 WebM. alpha_prores: ProRes 4444 MOV. alpha_hevc: HEVC MOV "
    "for Safari, experimental. matte: the alpha as grey MP4. foreground_and_matte: two MP4 files. "
    "alpha_stacked: MP4 with the alpha below the colour. png_sequence: PNG pictures in a zip. "
    "auto_web: WebM, HEVC, a poster and HTML for a page. animated_webp, animated_avif, gif: a "
    "picture that moves, of 10 seconds at most."
)
_FLAGS = (
    click.option(
        "--background",
        metavar="COLOUR|FILE|URL",
        help="Behind the person in greenscreen output: #rrggbb, a CSS colour name, an image or a "
        "video. Default: the green 120,255,155.",
    ),
    click.option(
        "--downsample-ratio",
        type=_Ratio(),
        default="auto",
        show_default=True,
        help="How much smaller the network sees the picture: above 0, at most 1.",
    ),
    click.option("--audio/--no-audio", default=True, help="Keep the sound. Default: yes."),
    click.option(
        "--warm-start/--no-warm-start",
        default=True,
        help="Show the model the first frames, and those after each cut, before they count. "
        "Default: yes.",
    ),
    click.option("--start-seconds", type=float, help="Leave out what lies before."),
    click.option("--end-seconds", type=float, help="Leave out what lies after."),
    click.option("--max-width", "max_width_pixels", type=int, help="Scale down to this width."),
    click.option("--max-height", "max_height_pixels", type=int, help="Scale down to this height."),
    click.option("--crf", type=int, help="Constant quality: 10 (best) to 40, 50 for alpha."),
    click.option(
        "--bitrate",
        "bitrate_bits_per_second",
        type=int,
        help="Average bits per second, in place of --crf: {} to {}.".format(*BITRATE_BOUNDS),
    ),
    click.option(
        "--model",
        type=click.Choice([variant.value for variant in Variant]),
        default=MatteOptions.model,
        show_default=True,
        help="The network: resnet50 errs less and takes longer, and not every server has it.",
    ),
    click.option(
        "--prefer-quality",
        is_flag=True,
        help=f"Slower encoding, and a network input of up to {QUALITY_LONGEST_SIDE_PIXELS} pixels.",
    ),
    click.option(
        "--source-type",
        type=click.Choice(SOURCE_TYPES),
        default=Refinements.source_type,
        show_default=True,
        help="green_screen: the person stands before a screen of one colour, which makes a sharper "
        "matte. auto: where each scene has such a screen.",
    ),
    click.option(
        "--subject",
        metavar="all|largest|box:L,T,R,B|...",
        default="all",
        show_default=True,
        help="Who or what is kept: the largest person, or what lies in a box or a polygon, in "
        "fractions of the picture.",
    ),
    click.option(
        "--exclude",
        metavar="L,T,R,B;...",
        help="Drop what lies in these boxes, in fractions of the picture.",
    ),
    click.option(
        "--edges",
        metavar="NAME=VALUE,...",
        help=f"Change the edge of the alpha: {EDGES_FORMS}.",
    ),
    click.option("--frames-per-request", type=int, help="Frames of one request to the server."),
)


_OF_ONE_FILE = (
    click.option(
        "--output-type",
        type=_TYPES,
        help=f"{_TYPES_HELP} By default what the suffix of OUTPUT says; .mp4 is greenscreen.",
    ),
    *_FLAGS,
    click.option(
        "--preview",
        type=click.Path(path_type=Path),
        help="Also write a PNG or JPEG picture of the person over a checkerboard.",
    ),
)
_OF_MANY_FILES = (
    click.option(
        "--output-type",
        type=_TYPES,
        default=OutputType.GREENSCREEN.value,
        show_default=True,
        help=_TYPES_HELP,
    ),
    *_FLAGS,
    click.option(
        "--preview/--no-preview",
        default=False,
        help="Also write NAME.preview.jpg, a picture of the person over a checkerboard.",
    ),
)


def matte_flags(command: Command) -> Command:
    """Add the flags to a click command, which gets them as keyword arguments."""
    return _with(command, _OF_ONE_FILE)


def batch_flags(command: Command) -> Command:
    """The same for a command that names its outputs itself: `preview` is true or false."""
    return _with(command, _OF_MANY_FILES)


def row_flags(row: Mapping[str, str]) -> dict[str, Any]:
    """What the cells of a row mean, by the names of the arguments of `batch_flags`.

    Args:
        row: text by the name of a flag: `max_width` or `max-width` for --max-width.

    Raises:
        UsageError: there is no such flag, or it does not take that.
    """
    known = _row_options()
    values = {}
    for name, text in row.items():
        option = known.get(name.strip().replace("-", "_"))
        if option is None:
            raise UsageError(f"there is no option {name!r}; the options are {', '.join(known)}")
        try:
            values[str(option.name)] = option.type.convert(text, option, None)
        except click.UsageError as exc:
            raise UsageError(f"{name} is {text!r}: {exc.message}") from exc
    return values


@functools.cache
def _row_options() -> dict[str, click.Parameter]:
    """The flags of `batch_flags` by their names in a row."""

    @click.command()
    @batch_flags
    def nothing() -> None:
        """Only asked for its flags."""

    return {
        flag.lstrip("-").replace("-", "_"): option
        for option in nothing.params
        for flag in option.opts
    }


def _with(command: Command, flags: tuple[Flag, ...]) -> Command:
    for flag in reversed(flags):
        command = flag(command)
    return command


def matte_options(
    output_type: OutputType,
    *,
    background: Colour | Path | None,
    model: ModelName,
    prefer_quality: bool,
    source_type: SourceType = "person",
    subject: str,
    exclude: str | None,
    edges: str | None,
    **flags: Any,
) -> MatteOptions:
    """The options that the flags say.

    Raises:
        UsageError: a flag is out of its bounds, or two do not go together.
    """
    if prefer_quality:
        flags["longest_side_pixels"] = QUALITY_LONGEST_SIDE_PIXELS
    return MatteOptions(
        output_type=output_type,
        background=background,
        model=model,
        prefer_quality=prefer_quality,
        refinements=Refinements(
            source_type=source_type,
            subject=Subject.parse(subject, parse_exclude(exclude) if exclude else ()),
            edges=Edges.parse(edges) if edges else Edges(),
        ),
        **flags,
    )


def background_of(text: str | None) -> Colour | str | None:
    """A colour, or the file or URL that `text` names.

    Raises:
        UsageError: it is neither.
    """
    if text is None:
        return None
    colour = parse_colour(text)
    if colour is not None:
        return colour
    if not is_url(text) and not Path(text).is_file():
        raise UsageError(
            f"background is {text!r}; it must be {COLOUR_FORMS}, or an image or video file or URL"
        )
    return text


def output_type_of(output: Path, name: str | None) -> OutputType:
    """The type by its name, else by the suffix of the file to write.

    Raises:
        UsageError: the suffix says none.
    """
    if name is not None:
        return OutputType(name)
    for output_type in OutputType:
        if output.suffix.lower() == output_type.suffix:
            return output_type
    suffixes = ", ".join(dict.fromkeys(t.suffix for t in OutputType))
    raise UsageError(
        f"{output.name} says no format that is known; end it in one of {suffixes}, "
        "or give --output-type"
    )
