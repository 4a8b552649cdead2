"""Colours as people write them."""

from PIL import ImageColor

from rvm_client.pixels.compositing import Colour

COLOUR_FORMS = "a colour as #rrggbb or by its CSS name"


def parse_colour(text: str) -> Colour | None:
    """`#rrggbb`, or a CSS colour name such as `navy`, as RGB; None if it is neither."""
    is_hex = text.startswith("#") and len(text) == len("#rrggbb")
    if not is_hex and text.lower() not in ImageColor.colormap:
        return None
    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        return None
    return red, green, blue
