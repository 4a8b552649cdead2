"""`golden.npz` beside each `model.pt`: one request, and what float32 makes of it.

Whoever serves the version sends it once at the start and compares: a wrong model, library or
precision of a GPU shows before the first job. All arrays have the names of the wire contract;
beside them are the largest differences that are right, in levels: `pha_max`, `fgr_max`, and
`mean` for either.
"""

from pathlib import Path

import numpy as np
import torch

from rvm_export.network import MattingNetwork
from rvm_export.repository import GOLDEN_FILE
from rvm_export.verify.differences import TOLERANCES
from rvm_export.verify.goldens import CASES
from rvm_export.verify.verification import eager_subject, matrices, pictures
from rvm_export.wire import STATES_IN, Layout, Precision

# With the refiner, and of even size.
_CASE = CASES[0]


def write_golden_frame(
    folder: Path, network: MattingNetwork, layout: Layout, precision: Precision
) -> None:
    """Into a version's folder.

    Args:
        folder: of the version.
        network: with its weights, in float32.
        layout: of the model.
        precision: of the model; its tolerances go into the file.
    """
    rgb = torch.from_numpy(_CASE.src[:1])[None]
    src, ratio = pictures(rgb, layout), _CASE.downsample_ratio
    expected = eager_subject(network, layout).matte(rgb, ratio, [1])
    zero = np.zeros((1, 1, 1, 1), np.float16 if precision is Precision.FP16 else np.float32)
    inputs = {
        "src": src.numpy(),
        **dict.fromkeys(STATES_IN, zero),
        "downsample_ratio": np.array([ratio], np.float32),
        **{
            name: matrix.numpy()
            for name, matrix in zip(layout.inputs[6:], matrices(layout), strict=True)
        },
    }
    tolerance = TOLERANCES[precision]
    np.savez_compressed(
        folder / GOLDEN_FILE,
        **inputs,
        fgr=expected.fgr.numpy(),
        pha=expected.pha.numpy(),
        pha_max=tolerance.pha_max,
        fgr_max=tolerance.fgr_max,
        mean=tolerance.mean,
    )
