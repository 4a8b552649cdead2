"""A camera of this machine for other programs, where it can have one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from .slot import UInt8Array


@contextmanager
def virtual_camera(fps: int) -> Iterator[Callable[[UInt8Array], None]]:
    """What sends pictures [H,W,3] there. All are of the first one's size.

    Raises:
        ClickException: the library or the device is missing.
    """
    try:
        import pyvirtualcam
    except ImportError as exc:
        raise click.ClickException(
            "a virtual camera needs the package pyvirtualcam (pip install pyvirtualcam), and on "
            "Linux the kernel module v4l2loopback"
        ) from exc
    camera: Any = None

    def send(picture: UInt8Array) -> None:
        nonlocal camera
        if camera is None:
            height, width = picture.shape[:2]
            try:
                camera = pyvirtualcam.Camera(width, height, fps)
            except RuntimeError as exc:
                raise click.ClickException(f"there is no virtual camera: {exc}") from exc
        camera.send(picture)

    try:
        yield send
    finally:
        if camera is not None:
            camera.close()
