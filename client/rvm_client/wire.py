"""The wire contract of the Triton models: names, dtypes, shapes and nothing else.

| tensor | dtype | shape |
| --- | --- | --- |
| src | UINT8 | [B,T,H,W,3] |
| r1i..r4i | FP32 or FP16 | [B,C,h,w]; the start of a video is zeros of shape [1,1,1,1] |
| downsample_ratio | FP32 | [1] |
| fgr | UINT8 | [B,T,H,W,3] |
| pha | UINT8 | [B,T,H,W,1] |
| r1o..r4o | as r1i | the state to send with the next T frames |

The second model takes and gives pictures packed as I420. What differs:

| tensor | dtype | shape |
| --- | --- | --- |
| src, fgr | UINT8 | [B,T,H*3/2,W] |
| to_rgb, from_rgb | FP32 | [3,4]; after downsample_ratio |
"""

MODEL_NAME = "rvm_mobilenetv3"
YUV_MODEL_NAME = "rvm_mobilenetv3_yuv"

SRC = "src"
DOWNSAMPLE_RATIO = "downsample_ratio"
TO_RGB = "to_rgb"
FROM_RGB = "from_rgb"
FGR = "fgr"
PHA = "pha"
# The parameter of a model's config that says which version a new video begins with.
ACTIVE_VERSION = "active_version"
STATE_INPUTS = ("r1i", "r2i", "r3i", "r4i")
STATE_OUTPUTS = ("r1o", "r2o", "r3o", "r4o")
INPUTS = (SRC, *STATE_INPUTS, DOWNSAMPLE_RATIO)
YUV_INPUTS = (*INPUTS, TO_RGB, FROM_RGB)

# Output channels and stride of each state, at the downsampled size.
STATE_CHANNELS = (16, 20, 40, 64)
STATE_STRIDES = (2, 4, 8, 16)
