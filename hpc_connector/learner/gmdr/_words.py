"""Vectors of thirty-two 16-bit words for numba, and tables to look them up in.

The low bits of a word say which of a few individuals carry a genotype; a table holds
the sum of scores of every such set. So one lookup adds the scores of those individuals
in thirty-two models. They are five where the machine permutes thirty-two words
(AVX-512), three where it permutes sixteen bytes (AVX2), and else one, whose score is
taken or left.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from llvmlite import ir
from llvmlite.ir import IRBuilder, Value
from numba import config, types
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic, models, register_model

from hpc_connector.learner.mdr._simd import COUNT, Args, Intrinsic, Vector
from hpc_connector.learner.mdr.bitplanes import LANES


def has(feature: str) -> bool:
    """Return whether numba compiles for machines with a feature, by LLVM's name."""
    features = config.CPU_FEATURES
    if features is None:
        features = get_host_cpu_features()
    return f"+{feature}" in features.split(",")


WORDS = 32  # lanes
WORD_BITS = 15  # individuals of a word
CHUNK = 5 if has("avx512bw") else 3 if has("avx2") else 1  # individuals of a lookup
CHUNKS = WORD_BITS // CHUNK
SETS = 1 << CHUNK  # of individuals, the entries of a table

I8, I16, I32 = ir.IntType(8), ir.IntType(16), ir.IntType(32)


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
def spread_word(typingctx: Any, array: types.Array, index: types.Type) -> Intrinsic:
    """Return array[index] in every lane, the array uint16."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        word = builder.load(builder.gep(data, [args[1]]), align=2)
        one = builder.insert_element(ir.Constant(WORD.llvm, ir.Undefined), word, I32(0))
        return _shuffle(builder, one, [0] * WORDS)

    return WORD(array, types.intp), codegen


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
    words = _shuffle(builder, args[0], list(range(first, first + LANES)))
    return builder.zext(words, COUNT.llvm)


@intrinsic
def no_words(typingctx: Any) -> Intrinsic:
    """Return thirty-two zeros."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        return ir.Constant(WORD.llvm, [0] * WORDS)

    return WORD(), codegen


@intrinsic
def next_chunk(typingctx: Any, words: Words) -> Intrinsic:
    """Return words without the bits of a lookup."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        return builder.lshr(args[0], _repeat([CHUNK]))

    return WORD(words), codegen


@intrinsic
def load_table(typingctx: Any, array: types.Array, index: types.Type) -> Intrinsic:
    """Return array[index : index + SETS], repeated to thirty-two words."""
    table = ir.VectorType(I16, SETS)

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        at = _pointer(context, builder, signature.args[0], args)
        loaded = builder.load(builder.bitcast(at, table.as_pointer()), align=2)
        return _shuffle(builder, loaded, list(range(SETS)) * (WORDS // SETS))

    return WORD(array, types.intp), codegen


@intrinsic
def add_entries(typingctx: Any, total: Words, table: Words, index: Words) -> Intrinsic:
    """Return total + table[the low bits of index], lane by lane."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        total, table, index = args
        return builder.add(total, _look_up(builder, table, index))

    return WORD(total, table, index), codegen


@intrinsic
def pick_entries(typingctx: Any, table: Words, carriers: Words) -> Intrinsic:
    """Return a table for those individuals whose bit is set, carriers in every lane."""

    def codegen(context: Any, builder: IRBuilder, signature: Any, args: Args) -> Value:
        index = builder.and_(args[1], _repeat(range(SETS)))
        return _look_up(builder, args[0], index)

    return WORD(table, carriers), codegen


def _repeat(values: Sequence[int]) -> ir.Constant:
    """Return some words, repeated to thirty-two, as a constant."""
    return ir.Constant(WORD.llvm, list(values) * (WORDS // len(values)))


def _shuffle(builder: IRBuilder, vector: Value, lanes: list[int]) -> Value:
    """Emit a vector of some lanes of another."""
    mask = ir.Constant(ir.VectorType(I32, len(lanes)), lanes)
    return builder.shuffle_vector(vector, vector, mask)


def _look_up(builder: IRBuilder, table: Value, index: Value) -> Value:
    """Emit table[index % SETS], by a permutation where the machine has one."""
    if has("avx512bw"):
        permute = _declare(builder, "llvm.x86.avx512.permvar.hi.512", WORD.llvm)
        return builder.call(permute, [table, index])
    low = builder.and_(index, _repeat([SETS - 1]))
    if has("avx2"):
        return _permute_bytes(builder, table, low)
    chosen = builder.sub(_repeat([0]), low)  # all bits, or none
    return builder.and_(chosen, _shuffle(builder, table, [1] * WORDS))


def _permute_bytes(builder: IRBuilder, table: Value, index: Value) -> Value:
    """Emit table[index] by halves: entry k is the bytes 2 k and 2 k + 1 of sixteen."""
    bytes_ = ir.VectorType(I8, WORDS)
    permute = _declare(builder, "llvm.x86.avx2.pshuf.b", bytes_)
    places = builder.add(builder.mul(index, _repeat([0x0202])), _repeat([0x0100]))
    halves = []
    for first in (0, LANES):
        lanes = list(range(first, first + LANES))
        pair = [
            builder.bitcast(_shuffle(builder, vector, lanes), bytes_)
            for vector in (table, places)
        ]
        half = builder.call(permute, pair)
        halves.append(builder.bitcast(half, ir.VectorType(I16, LANES)))
    both = ir.Constant(ir.VectorType(I32, WORDS), list(range(WORDS)))
    return builder.shuffle_vector(*halves, both)


def _declare(builder: IRBuilder, name: str, vector: ir.Type) -> Value:
    """Return an instruction of the machine that permutes a vector by another."""
    known = builder.module.globals.get(name)
    return known or ir.Function(
        builder.module, ir.FunctionType(vector, [vector, vector]), name
    )
