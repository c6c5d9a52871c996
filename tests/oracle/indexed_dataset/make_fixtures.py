"""Writes small data sets as Megatron-LM's IndexedDatasetBuilder does (megatron/core/datasets/indexed_dataset.py:
_IndexWriter.write and IndexedDatasetBuilder.add_document), with numpy and struct only, beside this file.

Run by hand: python tests/oracle/indexed_dataset/make_fixtures.py
"""
import json
import pathlib
import struct

import numpy

DTYPE_CODES = {numpy.uint8: 1, numpy.int8: 2, numpy.int16: 3, numpy.int32: 4, numpy.int64: 5, numpy.uint16: 8}


def write(prefix, documents, dtype):
    """documents: a list of lists of sequences, each a list of ids."""
    sequence_lengths, document_indices = [], [0]
    with open(f"{prefix}.bin", "wb") as file:
        for document in documents:
            for sequence in document:
                array = numpy.array(sequence, dtype=dtype)
                file.write(array.tobytes(order="C"))
                sequence_lengths.append(array.size)
            document_indices.append(len(sequence_lengths))
    itemsize = numpy.dtype(dtype).itemsize
    pointers, pointer = [], 0
    for length in sequence_lengths:
        pointers.append(pointer)
        pointer += length * itemsize
    with open(f"{prefix}.idx", "wb") as file:
        file.write(b"MMIDIDX\x00\x00")
        file.write(struct.pack("<Q", 1))
        file.write(struct.pack("<B", DTYPE_CODES[dtype]))
        file.write(struct.pack("<Q", len(sequence_lengths)))
        file.write(struct.pack("<Q", len(document_indices)))
        file.write(numpy.array(sequence_lengths, dtype=numpy.int32).tobytes(order="C"))
        file.write(numpy.array(pointers, dtype=numpy.int64).tobytes(order="C"))
        file.write(numpy.array(document_indices, dtype=numpy.int64).tobytes(order="C"))


folder = pathlib.Path(__file__).parent
sentences = [[[5, 6, 7], [8]], [[9, 10, 11, 12]], [], [[13], [], [14, 15]], [[16, 17, 18, 19, 20]]]
single = [[[100 + 10 * d + i for i in range(3 + d)]] for d in range(4)]
for dtype in DTYPE_CODES:
    write(folder / f"sentences_{numpy.dtype(dtype).name}", sentences, dtype)
write(folder / "single_uint16", single, numpy.uint16)
(folder / "contents.json").write_text(json.dumps({"sentences": sentences, "single": single}) + "\n")
