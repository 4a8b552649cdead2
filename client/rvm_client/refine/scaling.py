"""Alpha in part."""

import numpy as np

from rvm_client.pixels import UInt8Array


def scaled(alpha: UInt8Array, share: UInt8Array) -> UInt8Array:
    """alpha * share / 255, rounded to nearest; both of one shape."""
    # (v + (v >> 8)) >> 8 is v / 255, rounded, after 128 was added.
    value = np.multiply(alpha, share, dtype=np.uint16)
    value += np.uint16(128)
    value += value >> np.uint16(8)
    value >>= np.uint16(8)
    return value.astype(np.uint8)
