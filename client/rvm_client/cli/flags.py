"""The flags of `rvm-matte` that say how a video is matted; the same as a job's fields."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

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
from rvm_client.wire import Variant

Command = TypeVar("Command", bound=Callable[..., Any])


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


_FLAGS = (
    click.option(
        "--output-type",
        type=click.Choice([t.value for t in OutputType]),
        help="greenscreen: H.264 MP4. alpha: VP9 WebM. alpha_prores: ProRes 4444 MOV. matte: the "
        "alpha as grey MP4. foreground_and_matte: two MP4 files. png_sequence: PNG pictures in a "
        "zip. By default what the suffix of OUTPUT says; .mp4 is greenscreen.",
    ),
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
        "--preview",
        type=click.Path(path_type=Path),
        help="Also write a PNG or JPEG picture of the person over a checkerboard.",
    ),
    click.option("--frames-per-request", type=int, help="Frames of one request to the server."),
)


def matte_flags(command: Command) -> Command:
    """Add the flags to a click command, which gets them as keyword arguments."""
    for flag in reversed(_FLAGS):
        command = flag(command)
    return command


def matte_options(
    output: Path,
    *,
    output_type: str | None,
    background: Colour | Path | None,
    model: ModelName,
    prefer_quality: bool,
    **flags: Any,
) -> MatteOptions:
    """The options that the flags say.

    Raises:
        UsageError: a flag is out of its bounds, or two do not go together.
    """
    if prefer_quality:
        flags["longest_side_pixels"] = QUALITY_LONGEST_SIDE_PIXELS
    return MatteOptions(
        output_type=_output_type(output_type, output),
        background=background,
        model=model,
        prefer_quality=prefer_quality,
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


def _output_type(name: str | None, output: Path) -> OutputType:
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
