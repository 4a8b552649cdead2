"""What may be done to mattes before they are encoded; how it is done, `refine` knows."""

from dataclasses import dataclass, field

from rvm_client.alpha_edges import Edges
from rvm_client.subject import Subject


@dataclass(frozen=True)
class Refinements:
    """What is asked for; by default nothing."""

    subject: Subject = field(default_factory=Subject)
    """Who or what is kept."""
    edges: Edges = field(default_factory=Edges)
    """What is done to the edge of the alpha."""

    @property
    def is_nothing(self) -> bool:
        """The mattes stay as the model made them."""
        return self == Refinements()

    @property
    def needs_source(self) -> bool:
        """Mattes are to come with the source's frames."""
        return False

    @property
    def needs_rgb(self) -> bool:
        """It works on RGB only, not on planes."""
        return False

    @property
    def has_memory(self) -> bool:
        """A frame's result depends on those before it in its scene, or after."""
        return self.subject.largest
