"""The ONNX graph: bytes to the image at the working size, the network, and back to bytes.

The two ends are written in ONNX's own words, as the ratio decides sizes in them: a program that
traces PyTorch would fix it.
"""

import onnx
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto, helper, parser

from rvm_export.onnx.packages import OPSET
from rvm_export.wire import OUTPUTS, STATES_IN, STATES_OUT, Precision

# The ratio is meant in millionths: float32 holds 0.7 as 0.69999999, and 1280 pixels would become
# 895. `Resize` multiplies in float32 and cuts off, so its scale is moved by up to a unit in the
# last place where the product would fall on the other side of a whole number.
INTO = """
into (uint8[B,T,H,W,3] src, float[1] downsample_ratio)
    => (float[N,3,H,W] in_planar, int64[2] in_size, int64[1] in_millionths, float[N,3,h,w] image)
{
    in_size = Shape <start = 2, end = 4> (src)
    in_any = Constant <value_ints = [-1]> ()
    in_three = Constant <value_ints = [3]> ()
    in_flat_shape = Concat <axis = 0> (in_any, in_size, in_three)
    in_flat = Reshape (src, in_flat_shape)
    in_levels = Cast <to = 1> (in_flat)
    in_planar = Transpose <perm = [0, 3, 1, 2]> (in_levels)

    in_million = Constant <value_floats = [1000000.0]> ()
    in_whole_million = Constant <value_ints = [1000000]> ()
    in_scaled_ratio = Mul (downsample_ratio, in_million)
    in_rounded_ratio = Round (in_scaled_ratio)
    in_millionths = Cast <to = 7> (in_rounded_ratio)
    in_products = Mul (in_size, in_millionths)
    in_working_size = Div (in_products, in_whole_million)

    in_float_size = Cast <to = 1> (in_size)
    in_float_product = Mul (in_float_size, downsample_ratio)
    in_found = Floor (in_float_product)
    in_wanted = Cast <to = 1> (in_working_size)
    in_too_small = Less (in_found, in_wanted)
    in_too_large = Greater (in_found, in_wanted)
    in_up = Constant <value_float = 1.0000003> ()
    in_down = Constant <value_float = 0.9999997> ()
    in_ratio_up = Mul (downsample_ratio, in_up)
    in_ratio_down = Mul (downsample_ratio, in_down)
    in_not_too_large = Where (in_too_large, in_ratio_down, downsample_ratio)
    in_scale = Where (in_too_small, in_ratio_up, in_not_too_large)
    in_ones = Constant <value_floats = [1.0, 1.0]> ()
    in_scales = Concat <axis = 0> (in_ones, in_scale)
    in_small = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel">
        (in_planar, , in_scales)
    in_white = Constant <value_float = 255.0> ()
    image = Div (in_small, in_white)
}
"""

# A and b for 0..255 (see `script.full_resolution`): the residual is added to the frame by adding
# 1 to A. At ratio 1 there is no refiner: A is 0, and b is what the network says.
BACK = """
back (uint8[B,T,H,W,3] src, float[N,3,H,W] in_planar, int64[2] in_size, int64[1] in_millionths,
      float[N,4,h,w] y, float[N,4,h,w] a, float[N,4,h,w] b)
    => (uint8[B,T,H,W,3] fgr, uint8[B,T,H,W,1] pha)
{
    out_million = Constant <value_ints = [1000000]> ()
    out_is_full = Equal (in_millionths, out_million)
    out_zero = Constant <value_float = 0.0> ()
    out_own_a = Where (out_is_full, out_zero, a)
    out_own_b = Where (out_is_full, y, b)
    out_frame = Constant <value = float[1,4,1,1] {1.0, 1.0, 1.0, 0.0}> ()
    out_white = Constant <value_float = 255.0> ()
    out_small_a = Add (out_own_a, out_frame)
    out_small_b = Mul (out_own_b, out_white)
    out_small = Concat <axis = 1> (out_small_a, out_small_b)
    out_lead = Shape <start = 0, end = 2> (out_small)
    out_large_shape = Concat <axis = 0> (out_lead, in_size)
    out_large = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel">
        (out_small, , , out_large_shape)
    out_parts = Constant <value_ints = [3, 1, 3, 1]> ()
    out_colour_a, out_alpha_a, out_colour_b, out_alpha_b = Split <axis = 1> (out_large, out_parts)

    out_colour_product = Mul (out_colour_a, in_planar)
    out_colour = Add (out_colour_product, out_colour_b)
    out_colour_clipped = Clip (out_colour, out_zero, out_white)
    out_colour_rounded = Round (out_colour_clipped)
    out_colour_levels = Cast <to = 2> (out_colour_rounded)
    out_colour_last = Transpose <perm = [0, 2, 3, 1]> (out_colour_levels)
    out_src_shape = Shape (src)
    fgr = Reshape (out_colour_last, out_src_shape)

    out_channels = Constant <value_ints = [1]> ()
    out_mean = ReduceMean <keepdims = 1> (in_planar, out_channels)
    out_alpha_product = Mul (out_alpha_a, out_mean)
    out_alpha = Add (out_alpha_product, out_alpha_b)
    out_alpha_clipped = Clip (out_alpha, out_zero, out_white)
    out_alpha_rounded = Round (out_alpha_clipped)
    out_alpha_levels = Cast <to = 2> (out_alpha_rounded)
    out_pixels = Shape <start = 0, end = 4> (src)
    out_pha_shape = Concat <axis = 0> (out_pixels, out_channels)
    pha = Reshape (out_alpha_levels, out_pha_shape)
}
"""


def joined(network: ModelProto, precision: Precision) -> ModelProto:
    """The graph of `WorkingSize` between its two ends: the wire contract of `Layout.RGB`.

    Raises:
        onnx.checker.ValidationError: the parts do not fit each other.
    """
    into, back = parser.parse_graph(INTO), parser.parse_graph(BACK)
    core = network.graph
    graph = helper.make_graph(
        [*into.node, *core.node, *back.node],
        "rvm",
        _inputs(into, precision),
        _outputs(back, precision),
        initializer=core.initializer,
    )
    model = helper.make_model(
        graph,
        ir_version=network.ir_version,
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="rvm-export",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _inputs(into: GraphProto, precision: Precision) -> list[ValueInfoProto]:
    src, ratio = into.input
    return [src, *(_state(name, precision) for name in STATES_IN), ratio]


def _outputs(back: GraphProto, precision: Precision) -> list[ValueInfoProto]:
    found = [*back.output, *(_state(name, precision) for name in STATES_OUT)]
    assert tuple(value.name for value in found) == OUTPUTS
    return found


def _state(name: str, precision: Precision) -> ValueInfoProto:
    """Of any shape: a video starts with [1,1,1,1]."""
    kind = TensorProto.FLOAT16 if precision is Precision.FP16 else TensorProto.FLOAT
    return helper.make_tensor_value_info(name, kind, [None] * 4)
