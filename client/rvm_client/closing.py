"""What holds something that must be given back."""

from abc import ABC, abstractmethod
from typing import TypeVar

T = TypeVar("T", bound="Closing")


class Closing(ABC):
    """A context manager that is closed when its context is left, whatever happened in it."""

    @abstractmethod
    def close(self) -> None:
        """Give back what is held. May be called again."""

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
