"""Vectors of sixteen lanes for numba, in LLVM's own vector types.

A lane is a model (a pair or a triple of variants), so a kernel reads as if it
treated one model while it treats sixteen. LLVM lowers the sixteen lanes to
whatever the machine has: one register of AVX-512, two of AVX2, four of NEON.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from llvmlite.ir import IRBuilder, Value
from numba import types
from numba.extending import intrinsic, models, overload, register_model

from hpc_connector.learner.mdr.bitplanes import LANES

INDEX = ir.IntType(32)

# What an intrinsic returns to the compiler: its signature, and what emits its code.
Args = Sequence[Value]
Intrinsic = tuple[Any, Callable[[Any, IRBuilder, Any, Args], Value]]


class Vector(types.Type):
    """Sixteen values of one scalar type."""

    def __init__(self, element: types.Type, llvm: ir.Type) -> None:
        super().__init__(name=f"{element}x{LANES}")
        self.element = element
        self.llvm = ir.VectorType(llvm, LANES)


COUNT = Vector(types.int32, ir.IntType(32))
SINGLE = Vector(types.float32, ir.FloatType())
DOUBLE = Vector(types.float64, ir.DoubleType())
MASK = Vector(types.boolean, ir.IntType(1))
VECTOR_OF = {v.element: v for v in (COUNT, SINGLE, DOUBLE)}
Instruction = Callable[[IRBuilder, Vector, Value, Value], Value]


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """A vector is LLVM's vector, in a register wherever it fits."""

    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, vector.llvm)


def _pointer(
    context: Any,
    builder: IRBuilder,
    array_type: types.Array,
    array: Value,
    index: Value,
    vector: Vector,
) -> Value:
    """Return a pointer to `vector` at array[index], the array 1-D and contiguous."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.llvm.as_pointer())


@intrinsic
def load(typingctx: Any, array: types.Array, index: types.Type) -> Intrinsic:
    """Return array[index : index + 16] as a vector."""
    vector = VECTOR_OF[array.dtype]

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        at = _pointer(context, builder, array, args[0], args[1], vector)
        return builder.load(at, align=array.dtype.bitwidth // 8)

    return vector(array, types.intp), codegen


@intrinsic
def store(
    typingctx: Any, array: types.Array, index: types.Type, value: Vector
) -> Intrinsic:
    """Write a vector to array[index : index + 16]."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        at = _pointer(context, builder, array, args[0], args[1], value)
        builder.store(args[2], at, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


@intrinsic
def spread(typingctx: Any, scalar: types.Type) -> Intrinsic:
    """Return a scalar in every lane; integers become counts."""
    vector = COUNT if isinstance(scalar, types.Integer) else VECTOR_OF[scalar]

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        value = context.cast(builder, args[0], scalar, vector.element)
        empty = ir.Constant(vector.llvm, ir.Undefined)
        one = builder.insert_element(empty, value, INDEX(0))
        lanes = ir.Constant(ir.VectorType(INDEX, LANES), [0] * LANES)
        return builder.shuffle_vector(one, empty, lanes)

    return vector(scalar), codegen


@intrinsic
def to_float(typingctx: Any, value: Vector, example: types.Type) -> Intrinsic:
    """Return the lanes in the floating type of the scalar `example`."""
    target = VECTOR_OF[example]

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        if value is target:
            return args[0]
        convert = builder.sitofp if value is COUNT else builder.fpext
        return convert(args[0], target.llvm)

    return target(value, example), codegen


@intrinsic
def add_common_bits(typingctx: Any, total: Vector, a: Vector, b: Vector) -> Intrinsic:
    """Return total + the number of bits that a and b share, lane by lane."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        function = ir.FunctionType(COUNT.llvm, [COUNT.llvm])
        name = f"llvm.ctpop.v{LANES}i32"
        ctpop = builder.module.declare_intrinsic(name, fnty=function)
        common = builder.and_(args[1], args[2])
        return builder.add(args[0], builder.call(ctpop, [common]))

    return COUNT(COUNT, COUNT, COUNT), codegen


@intrinsic
def difference_of_products(
    typingctx: Any, a: Vector, b: Vector, c: Vector, d: Vector
) -> Intrinsic:
    """Return a * b - c * d, fused where the machine can.

    The callers' products are integers that the type holds exactly, so that fusing
    changes no bit.
    """

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        flags = ("contract",)
        left = builder.fmul(args[0], args[1], flags=flags)
        right = builder.fmul(args[2], args[3], flags=flags)
        return builder.fsub(left, right, flags=flags)

    return a(a, b, c, d), codegen


@intrinsic
def select(typingctx: Any, mask: Vector, yes: Vector, no: Vector) -> Intrinsic:
    """Return `yes` in the lanes where the mask is true, else `no`."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        return builder.select(*args)

    return yes(mask, yes, no), codegen


@intrinsic
def any_lane(typingctx: Any, mask: Vector) -> Intrinsic:
    """Return whether the mask is true in any lane."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        bits = builder.bitcast(args[0], ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.IntType(LANES)(0))

    return types.boolean(mask), codegen


@intrinsic
def add_product(typingctx: Any, total: Vector, a: Vector, b: Vector) -> Intrinsic:
    """Return total + a * b, fused where the machine can: for bounds, not results."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        product = builder.fmul(args[1], args[2], flags=("contract",))
        return builder.fadd(args[0], product, flags=("contract",))

    return total(total, a, b), codegen


@intrinsic
def absolute(typingctx: Any, value: Vector) -> Intrinsic:
    """Return the lanes without their signs."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        function = ir.FunctionType(value.llvm, [value.llvm])
        name = f"llvm.fabs.v{LANES}f{value.element.bitwidth}"
        fabs = builder.module.declare_intrinsic(name, fnty=function)
        return builder.call(fabs, args)

    return value(value), codegen


def _define(
    symbol: Callable[[Any, Any], Any], result: Vector | None, instruction: Instruction
) -> None:
    """Give vectors of one type the operator `symbol`."""

    @intrinsic
    def apply(typingctx: Any, a: Vector, b: Vector) -> Intrinsic:
        def codegen(
            context: Any, builder: IRBuilder, signature: Any, args: Args
        ) -> Value:
            return instruction(builder, a, *args)

        return (result or a)(a, b), codegen

    @overload(symbol)
    # without hints, for numba compares its parameters with those of what it returns
    def overloaded(a, b):  # type: ignore[no-untyped-def]
        if isinstance(a, Vector) and a is b:
            return lambda a, b: apply(a, b)
        return None


def _number(of_counts: str, of_floats: str) -> Instruction:
    """Return the emitter of one LLVM instruction for counts, another for floats."""

    def instruction(builder: IRBuilder, vector: Vector, a: Value, b: Value) -> Value:
        return getattr(builder, of_counts if vector is COUNT else of_floats)(a, b)

    return instruction


_define(operator.add, None, _number("add", "fadd"))
_define(operator.sub, None, _number("sub", "fsub"))
_define(operator.mul, None, _number("mul", "fmul"))
_define(operator.truediv, None, _number("sdiv", "fdiv"))
_define(operator.and_, None, lambda builder, vector, a, b: builder.and_(a, b))
_define(operator.or_, None, lambda builder, vector, a, b: builder.or_(a, b))
_define(operator.lshift, None, lambda builder, vector, a, n: builder.shl(a, n))
_define(operator.rshift, None, lambda builder, vector, a, n: builder.lshr(a, n))
_define(operator.ge, MASK, lambda b, vector, x, y: b.fcmp_ordered(">=", x, y))
_define(operator.gt, MASK, lambda b, vector, x, y: b.fcmp_ordered(">", x, y))
