"""What may be done to mattes before they are encoded; how it is done, `refine` knows."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from rvm_client.alpha_edges import Edges
from rvm_client.errors import UsageError
from rvm_client.subject import Subject

SourceType = Literal["person", "green_screen", "auto"]
SOURCE_TYPES: tuple[SourceType, ...] = get_args(SourceType)


@dataclass(frozen=True)
class Refinements:
    """What is asked for; by default nothing.

    Raises:
        UsageError: a value is out of its range.
    """

    subject: Subject = field(default_factory=Subject)
    """Who or what is kept."""
    edges: Edges = field(default_factory=Edges)
    """What is done to the edge of the alpha."""
    source_type: SourceType = "person"
    """What is behind the person: anything; or a screen of one colour, by which the matte is made
    sharper; or that is found out for each scene."""

    def __post_init__(self) -> None:
        if self.source_type not in SOURCE_TYPES:
            known = ", ".join(SOURCE_TYPES[:-1])
            raise UsageError(
                f"source_type is {self.source_type!r}; it must be {known} or {SOURCE_TYPES[-1]}"
            )

    @property
    def is_nothing(self) -> bool:
        """The mattes stay as the model made them."""
        return self == Refinements()

    @property
    def needs_source(self) -> bool:
        """Mattes are to come with the source's frames."""
        return self.source_type != "person"

    @property
    def needs_rgb(self) -> bool:
        """It works on RGB only, not on planes."""
        return self.source_type != "person"

    @property
    def has_memory(self) -> bool:
        """A frame's result depends on those before it in its scene, or after."""
        return self.subject.largest or self.source_type == "auto"
