"""Vectors of thirty-two 16-bit words for numba, and a table to look them up in.

The low five bits of a word say which of five individuals carry a genotype; a table of
thirty-two entries holds the sum of scores of every such set. So one lookup adds the
scores of five individuals in thirty-two models.
"""

from functools import partial
from typing import Any

from llvmlite import ir
from llvmlite.ir import IRBuilder, Value
from numba import types
from numba.extending import intrinsic, models, register_model

from hpc_connector.learner.mdr._simd import COUNT, Args, Intrinsic, Vector
from hpc_connector.learner.mdr.bitplanes import LANES

WORDS = 32  # lanes
CHUNK = 5  # individuals of a lookup
WORD_BITS = 15  # of the individuals in a word, in three chunks

I16, I32 = ir.IntType(16), ir.IntType(32)


class Words(types.Type):
    """Thirty-two unsigned 16-bit words."""

    def __init__(self) -> None:
        super().__init__(name="uint16x32")
        self.llvm = ir.VectorType(I16, WORDS)


WORD = Words()


@register_model(Words)
class WordsModel(models.PrimitiveModel):
    """LLVM's own vector: one register of AVX-512, two of AVX2, four of NEON."""

    def __init__(self, manager: Any, words: Words) -> None:
        super().__init__(manager, words, words.llvm)


def _pointer(context: Any, builder: IRBuilder, array_type: Any, args: Args) -> Value:
    """Return a pointer to thirty-two words at array[index]."""
    data = context.make_array(array_type)(context, builder, args[0]).data
    return builder.bitcast(builder.gep(data, [args[1]]), WORD.llvm.as_pointer())


@intrinsic
def load_words(typingctx: Any, array: types.Array, index: types.Type) -> Intrinsic:
    """Return array[index : index + 32], the array uint16."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        at = _pointer(context, builder, signature.args[0], args)
        return builder.load(at, align=2)

    return WORD(array, types.intp), codegen


@intrinsic
def store_words(
    typingctx: Any, array: types.Array, index: types.Type, words: Words
) -> Intrinsic:
    """Write words to array[index : index + 32], the array uint16."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        at = _pointer(context, builder, signature.args[0], args)
        builder.store(args[2], at, align=2)
        return context.get_dummy_value()

    return types.void(array, types.intp, words), codegen


@intrinsic
def store_half(
    typingctx: Any, array: types.Array, index: types.Type, value: Vector
) -> Intrinsic:
    """Write the low 16 bits of sixteen counts to array[index : index + 16]."""
    half = ir.VectorType(I16, LANES)

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        at = _pointer(context, builder, signature.args[0], args)
        at = builder.bitcast(at, half.as_pointer())
        builder.store(builder.trunc(args[2], half), at, align=2)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


@intrinsic
def widen_first(typingctx: Any, words: Words) -> Intrinsic:
    """Return the first sixteen words as counts."""
    return COUNT(words), partial(_widen, 0)


@intrinsic
def widen_last(typingctx: Any, words: Words) -> Intrinsic:
    """Return the last sixteen words as counts."""
    return COUNT(words), partial(_widen, LANES)


def _widen(
    first: int, context: Any, builder: IRBuilder, signature: Any, args: Args
) -> Value:
    """Emit counts of sixteen words from the first of them on."""
    lanes = list(range(first, first + LANES))
    mask = ir.Constant(ir.VectorType(I32, LANES), lanes)
    words = builder.shuffle_vector(args[0], args[0], mask)
    return builder.zext(words, COUNT.llvm)


@intrinsic
def no_words(typingctx: Any) -> Intrinsic:
    """Return thirty-two zeros."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        return ir.Constant(WORD.llvm, [0] * WORDS)

    return WORD(), codegen


@intrinsic
def next_chunk(typingctx: Any, words: Words) -> Intrinsic:
    """Return words shifted right by five bits."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        return builder.lshr(args[0], ir.Constant(WORD.llvm, [CHUNK] * WORDS))

    return WORD(words), codegen


@intrinsic
def add_entries(typingctx: Any, total: Words, table: Words, index: Words) -> Intrinsic:
    """Return total + table[index & 31], lane by lane."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        total, table, index = args
        return builder.add(total, _look_up(context, builder, table, index))

    return WORD(total, table, index), codegen


@intrinsic
def pick_entries(typingctx: Any, table: Words, carriers: types.Type) -> Intrinsic:
    """Return the table for those of five individuals whose bit is set in a scalar."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        word = builder.trunc(args[1], I16)
        empty = ir.Constant(WORD.llvm, ir.Undefined)
        one = builder.insert_element(empty, word, I32(0))
        mask = ir.Constant(ir.VectorType(I32, WORDS), [0] * WORDS)
        sets = ir.Constant(WORD.llvm, list(range(WORDS)))
        index = builder.and_(builder.shuffle_vector(one, empty, mask), sets)
        return _look_up(context, builder, args[0], index)

    return WORD(table, types.int64), codegen


def _look_up(context: Any, builder: IRBuilder, table: Value, index: Value) -> Value:
    """Emit a permutation of words, one instruction where the machine has it."""
    if "+avx512bw" in context.codegen().magic_tuple()[2].split(","):
        function = ir.FunctionType(WORD.llvm, [WORD.llvm, WORD.llvm])
        name = "llvm.x86.avx512.permvar.hi.512"
        permute = builder.module.globals.get(name)
        if permute is None:
            permute = ir.Function(builder.module, function, name)
        return builder.call(permute, [table, index])
    low = builder.and_(index, ir.Constant(WORD.llvm, [31] * WORDS))
    result = ir.Constant(WORD.llvm, ir.Undefined)
    for lane in range(WORDS):
        place = builder.extract_element(low, I32(lane))
        entry = builder.extract_element(table, place)
        result = builder.insert_element(result, entry, I32(lane))
    return result
