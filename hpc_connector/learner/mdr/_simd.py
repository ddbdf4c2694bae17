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
    """Some values of one scalar type, sixteen unless said."""

    def __init__(self, element: types.Type, llvm: ir.Type, lanes: int = LANES) -> None:
        super().__init__(name=f"{element}x{lanes}")
        self.element, self.lanes = element, lanes
        self.llvm = ir.VectorType(llvm, lanes)


COUNT = Vector(types.int32, ir.IntType(32))
SINGLE = Vector(types.float32, ir.FloatType())
DOUBLE = Vector(types.float64, ir.DoubleType())
MASK = Vector(types.boolean, ir.IntType(1))
NARROW = Vector(types.int16, ir.IntType(16), 2 * LANES)  # as many bits as counts
BYTE = Vector(types.int8, ir.IntType(8))  # in memory only
NARROW_MASK = Vector(types.boolean, ir.IntType(1), 2 * LANES)
VECTOR_OF = {v.element: v for v in (COUNT, SINGLE, DOUBLE, NARROW)}
INTEGERS = (COUNT, NARROW)
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
def load_bytes(typingctx: Any, array: types.Array, index: types.Type) -> Intrinsic:
    """Return sixteen values 0 .. 127 of an int8 array as counts."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        at = _pointer(context, builder, array, args[0], args[1], BYTE)
        return builder.zext(builder.load(at, align=1), COUNT.llvm)

    return COUNT(array, types.intp), codegen


@intrinsic
def store_bytes(
    typingctx: Any, array: types.Array, index: types.Type, value: Vector
) -> Intrinsic:
    """Write counts 0 .. 127 to an int8 array."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        at = _pointer(context, builder, array, args[0], args[1], BYTE)
        builder.store(builder.trunc(args[2], BYTE.llvm), at, align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


@intrinsic
def store_fours(
    typingctx: Any,
    array: types.Array,
    index: types.Type,
    step: types.Type,
    value: Vector,
) -> Intrinsic:
    """Write lanes 4 k .. 4 k + 3 to array[index + k * step : index + k * step + 4]."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        _, at, step, whole = args
        four = ir.VectorType(value.llvm.element, 4)
        for k in range(LANES // 4):
            chosen = ir.Constant(ir.VectorType(INDEX, 4), list(range(4 * k, 4 * k + 4)))
            part = builder.shuffle_vector(whole, whole, chosen)
            to = _pointer(context, builder, array, args[0], at, value)
            to = builder.bitcast(to, four.as_pointer())
            builder.store(part, to, align=array.dtype.bitwidth // 8)
            at = builder.add(at, step)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, value), codegen


@intrinsic
def load_counts(typingctx: Any, array: types.Array, index: types.Type) -> Intrinsic:
    """Return sixteen values of an int32 array; of int16, 0 .. 65535 by their bits."""
    n_bits = array.dtype.bitwidth

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        at = _pointer(context, builder, array, args[0], args[1], VECTOR_OF[array.dtype])
        stored = ir.VectorType(ir.IntType(n_bits), LANES)
        found = builder.load(
            builder.bitcast(at, stored.as_pointer()), align=n_bits // 8
        )
        return found if n_bits == 32 else builder.zext(found, COUNT.llvm)

    return COUNT(array, types.intp), codegen


@intrinsic
def store_lower(
    typingctx: Any, array: types.Array, index: types.Type, value: Vector
) -> Intrinsic:
    """Write the 16 lower bits of sixteen counts to array[index : index + 16], int16."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        half = ir.VectorType(ir.IntType(16), LANES)
        at = _pointer(context, builder, array, args[0], args[1], NARROW)
        at = builder.bitcast(at, half.as_pointer())
        builder.store(builder.trunc(args[2], half), at, align=2)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


@intrinsic
def spread(typingctx: Any, scalar: types.Type) -> Intrinsic:
    """Return a scalar in every lane; integers but int16 become counts."""
    is_count = isinstance(scalar, types.Integer) and scalar is not types.int16
    vector = COUNT if is_count else VECTOR_OF[scalar]

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        value = context.cast(builder, args[0], scalar, vector.element)
        empty = ir.Constant(vector.llvm, ir.Undefined)
        one = builder.insert_element(empty, value, INDEX(0))
        lanes = ir.Constant(ir.VectorType(INDEX, vector.lanes), [0] * vector.lanes)
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
    """Return total + the number of bits that a and b share, lane by lane.

    A narrow total takes a and b for twice as many lanes of half the bits.
    """

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        common = builder.bitcast(builder.and_(args[1], args[2]), total.llvm)
        return builder.add(args[0], _call(builder, "ctpop", total, common))

    return total(total, COUNT, COUNT), codegen


def _call(builder: IRBuilder, name: str, vector: Vector, *args: Value) -> Value:
    """Call one of LLVM's functions of vectors of integers."""
    function = ir.FunctionType(vector.llvm, [vector.llvm] * len(args))
    full_name = f"llvm.{name}.v{vector.lanes}i{vector.element.bitwidth}"
    return builder.call(
        builder.module.declare_intrinsic(full_name, fnty=function), args
    )


@intrinsic
def greatest(typingctx: Any, a: Vector, b: Vector) -> Intrinsic:
    """Return the greater of two integers, lane by lane."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        return _call(builder, "smax", a, *args)

    return a(a, b), codegen


@intrinsic
def smallest(typingctx: Any, a: Vector, b: Vector) -> Intrinsic:
    """Return the less of two integers, lane by lane."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        return _call(builder, "smin", a, *args)

    return a(a, b), codegen


@intrinsic
def subtract_cut(typingctx: Any, a: Vector, b: Vector) -> Intrinsic:
    """Return a - b, or the nearest integer that a lane holds."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        return _call(builder, "ssub.sat", a, *args)

    return a(a, b), codegen


@intrinsic
def get_signs(typingctx: Any, value: Vector) -> Intrinsic:
    """Return all bits where a narrow lane is negative, else none."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        fifteen = ir.Constant(NARROW.llvm, [15] * NARROW.lanes)
        return builder.ashr(args[0], fifteen)

    return NARROW(NARROW), codegen


@intrinsic
def as_narrow(typingctx: Any, value: Vector) -> Intrinsic:
    """Return both halves of each count as narrow lanes, the lower one first."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        return builder.bitcast(args[0], NARROW.llvm)

    return NARROW(COUNT), codegen


def _widen(builder: IRBuilder, value: Value, *, odd: bool) -> Value:
    """Return every other narrow lane as a count, with its sign."""
    sixteen = ir.Constant(COUNT.llvm, [16] * LANES)
    count = builder.bitcast(value, COUNT.llvm)
    return builder.ashr(count if odd else builder.shl(count, sixteen), sixteen)


@intrinsic
def widen_even(typingctx: Any, value: Vector) -> Intrinsic:
    """Return narrow lanes 0, 2, 4 .. as counts, with their signs."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        return _widen(builder, args[0], odd=False)

    return COUNT(NARROW), codegen


@intrinsic
def widen_odd(typingctx: Any, value: Vector) -> Intrinsic:
    """Return narrow lanes 1, 3, 5 .. as counts, with their signs."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        return _widen(builder, args[0], odd=True)

    return COUNT(NARROW), codegen


def _multiply_high(builder: IRBuilder, extend: str, args: Args) -> Value:
    """Return the upper halves of the products of narrow vectors."""
    wide = ir.VectorType(ir.IntType(32), NARROW.lanes)
    a, b = (getattr(builder, extend)(value, wide) for value in args)
    half = ir.Constant(wide, [16] * NARROW.lanes)
    return builder.trunc(builder.lshr(builder.mul(a, b), half), NARROW.llvm)


@intrinsic
def take_share(typingctx: Any, a: Vector, b: Vector) -> Intrinsic:
    """Return a * b / 65536, rounded down, of narrow vectors without a sign."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        return _multiply_high(builder, "zext", args)

    return NARROW(NARROW, NARROW), codegen


@intrinsic
def take_signed_share(typingctx: Any, a: Vector, b: Vector) -> Intrinsic:
    """Return a * b / 65536, rounded down, of narrow vectors."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        return _multiply_high(builder, "sext", args)

    return NARROW(NARROW, NARROW), codegen


@intrinsic
def widen_half(typingctx: Any, value: Vector, upper: types.Type) -> Intrinsic:
    """Return the first sixteen lanes without a sign as counts, or the last sixteen."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        empty = ir.Constant(NARROW.llvm, ir.Undefined)
        halves = []
        for first in (0, LANES):
            chosen = list(range(first, first + LANES))
            lanes = ir.Constant(ir.VectorType(INDEX, LANES), chosen)
            half = builder.shuffle_vector(args[0], empty, lanes)
            halves.append(builder.zext(half, COUNT.llvm))
        is_upper = context.cast(builder, args[1], upper, types.boolean)
        return builder.select(is_upper, halves[1], halves[0])

    return COUNT(NARROW, upper), codegen


def _join(builder: IRBuilder, args: Args, first: int) -> Value:
    """Return sixteen lanes of each of two narrow vectors, from `first` on."""
    chosen = list(range(first, first + LANES))
    chosen += [lane + NARROW.lanes for lane in chosen]
    lanes = ir.Constant(ir.VectorType(INDEX, NARROW.lanes), chosen)
    return builder.shuffle_vector(*args, lanes)


@intrinsic
def join_lower(typingctx: Any, a: Vector, b: Vector) -> Intrinsic:
    """Return the first sixteen lanes of two narrow vectors."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        return _join(builder, args, 0)

    return NARROW(NARROW, NARROW), codegen


@intrinsic
def join_upper(typingctx: Any, a: Vector, b: Vector) -> Intrinsic:
    """Return the last sixteen lanes of two narrow vectors."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        return _join(builder, args, LANES)

    return NARROW(NARROW, NARROW), codegen


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
        bits = builder.bitcast(args[0], ir.IntType(mask.lanes))
        return builder.icmp_unsigned("!=", bits, ir.IntType(mask.lanes)(0))

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


@intrinsic
def get_bits(typingctx: Any, mask: Vector) -> Intrinsic:
    """Return the lanes of a mask as the bits of a number, int64."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        bits = builder.bitcast(args[0], ir.IntType(mask.lanes))
        return builder.zext(bits, ir.IntType(64))

    return types.int64(mask), codegen


def _define(
    symbol: Callable[[Any, Any], Any], compares: bool, instruction: Instruction
) -> None:
    """Give vectors of one type the operator `symbol`."""

    @intrinsic
    def apply(typingctx: Any, a: Vector, b: Vector) -> Intrinsic:
        def codegen(
            context: Any, builder: IRBuilder, signature: Any, args: Args
        ) -> Value:
            return instruction(builder, a, *args)

        mask = MASK if a.lanes == LANES else NARROW_MASK
        return (mask if compares else a)(a, b), codegen

    @overload(symbol)
    # without hints, for numba compares its parameters with those of what it returns
    def overloaded(a, b):  # type: ignore[no-untyped-def]
        if isinstance(a, Vector) and a is b:
            return lambda a, b: apply(a, b)
        return None


def _number(of_counts: str, of_floats: str) -> Instruction:
    """Return the emitter of one LLVM instruction for integers, another for floats."""

    def instruction(builder: IRBuilder, vector: Vector, a: Value, b: Value) -> Value:
        return getattr(builder, of_counts if vector in INTEGERS else of_floats)(a, b)

    return instruction


def _comparison(sign: str) -> Instruction:
    """Return the emitter of a comparison of integers or of floats."""

    def instruction(builder: IRBuilder, vector: Vector, a: Value, b: Value) -> Value:
        signed, ordered = builder.icmp_signed, builder.fcmp_ordered
        return (signed if vector in INTEGERS else ordered)(sign, a, b)

    return instruction


_define(operator.add, False, _number("add", "fadd"))
_define(operator.sub, False, _number("sub", "fsub"))
_define(operator.mul, False, _number("mul", "fmul"))
_define(operator.truediv, False, _number("sdiv", "fdiv"))
_define(operator.and_, False, lambda builder, vector, a, b: builder.and_(a, b))
_define(operator.or_, False, lambda builder, vector, a, b: builder.or_(a, b))
_define(operator.lshift, False, lambda builder, vector, a, n: builder.shl(a, n))
_define(operator.rshift, False, lambda builder, vector, a, n: builder.lshr(a, n))
_define(operator.ge, True, _comparison(">="))
_define(operator.gt, True, _comparison(">"))
