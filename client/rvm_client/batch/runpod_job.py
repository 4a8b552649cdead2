"""An item as the input of a job, and its output as files."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from rvm_client.alpha_edges import Edges
from rvm_client.batch.items import Item
from rvm_client.errors import UsageError
from rvm_client.options import MatteOptions, is_url
from rvm_client.output_types import FileRole
from rvm_client.pixels import Colour
from rvm_client.refinement_fields import EdgesFields
from rvm_client.refinements import Refinements
from rvm_client.subject import Subject
from rvm_client.web_video import WebVideo


def job_input(item: Item) -> dict[str, Any]:
    """The fields of the job that mattes an item as its options say.

    Raises:
        UsageError: something of it cannot be said in a job.
    """
    options = item.options
    if not is_url(item.source):
        raise UsageError(
            f"{item.source} is a file of this machine, which a RunPod endpoint cannot read; "
            "put it where a URL leads to it"
        )
    if options.frames_per_request is not None:
        raise UsageError("frames_per_request does not go with --runpod; leave it out")
    fields: dict[str, Any] = {
        "video_url": item.source,
        "output_type": options.output_type.value,
        "downsample_ratio": options.downsample_ratio,
        "background": _background(item),
        "audio": options.audio,
        "warm_start": options.warm_start,
        "start_seconds": options.start_seconds,
        "end_seconds": options.end_seconds,
        "max_width": options.max_width_pixels,
        "max_height": options.max_height_pixels,
        "crf": options.crf,
        "bitrate": options.bitrate_bits_per_second,
        "preview": item.preview,
        **_refinements(options.refinements),
    }
    default = MatteOptions.model
    if options.model != default and not options.prefer_quality:
        raise UsageError(
            f"{options.model} on a RunPod endpoint goes with prefer_quality only: give both, or "
            f"leave the model at {default}"
        )
    if options.prefer_quality:
        # Both choose the ratio, too, unless there is one.
        fields["speed"] = "quality" if options.model == default else "best"
    elif options.downsample_ratio is None:
        fields["downsample_ratio"] = "auto"
    return {name: value for name, value in fields.items() if value is not None}


def file_urls(item: Item, output: Mapping[str, Any]) -> dict[FileRole, str]:
    """Where the files of a job's output are, the file with the role `output` last."""
    roles = sorted(item.file_names, key=lambda role: role is FileRole.OUTPUT)
    urls = {role: output.get(f"{role.value}_url") for role in roles}
    return {role: str(url) for role, url in urls.items() if url}


def file_name(item: Item, role: FileRole, output: Mapping[str, Any]) -> str:
    """What a file is called: another type than was asked for, for want of room, has its suffix."""
    made = as_made(item, output).options.output_type
    became_smaller = role is FileRole.OUTPUT and made is not item.options.output_type
    return item.file_names[role] + (made.suffix if became_smaller else "")


def as_made(item: Item, output: Mapping[str, Any]) -> Item:
    """The item with the type that its output has, which may be the smaller one."""
    smaller = item.options.output_type.facts.smaller_type
    if smaller is None or output.get("output_format") != smaller.facts.format_name:
        return item
    return replace(item, options=replace(item.options, output_type=smaller))


def page_of(item: Item, output: Mapping[str, Any]) -> str | None:
    """The page that shows the files once they lie beside it; None: there is none of this type."""
    if FileRole.PAGE not in item.file_names:
        return None
    size = int(output.get("width") or 1), int(output.get("height") or 1)
    return WebVideo.beside(item.file_names, *size).page(item.name)


def _refinements(refinements: Refinements) -> dict[str, Any]:
    """What is asked for of them."""
    subject, edges = refinements.subject, refinements.edges
    return {
        "subject": subject.text if subject != Subject(exclude=subject.exclude) else None,
        "exclude": list(map(list, subject.exclude)) or None,
        "source_type": refinements.source_type if refinements.needs_source else None,
        "edges": None if edges == Edges() else EdgesFields(**asdict(edges)).model_dump(mode="json"),
    }


def _background(item: Item) -> str | None:
    behind = item.options.background
    if item.background is not None and not is_url(item.background):
        raise UsageError(
            f"the background {item.background} is a file of this machine, which a RunPod endpoint "
            "cannot read; put it where a URL leads to it"
        )
    if item.background is not None or behind is None:
        return item.background
    assert isinstance(behind, tuple)
    return _hexadecimal(behind)


def _hexadecimal(colour: Colour) -> str:
    return "#" + "".join(f"{level:02x}" for level in colour)
