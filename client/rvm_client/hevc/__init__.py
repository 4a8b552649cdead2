"""HEVC streams as NAL units: an alpha layer beside the colour, put in and taken out."""

from rvm_client.hevc.configuration import Configuration
from rvm_client.hevc.layers import alone, merged_parameters, merged_picture, reorder_delay
from rvm_client.hevc.parameter_sets import ALPHA_LAYER

__all__ = [
    "ALPHA_LAYER",
    "Configuration",
    "alone",
    "merged_parameters",
    "merged_picture",
    "reorder_delay",
]
