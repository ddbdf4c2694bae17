"""Count the words of objects in S3 and of a stream, by functions: D2.2, figure 17.

word_count_stream.py ENDPOINT SEGMENTS LINES.txt s3://testdata/a.txt s3://testdata/b.txt

The stream gets the lines of a file. Of file, NATS and Pravega only ENDPOINT differs:
file:///folder, nats://host:4222, pravega://host:9090, and tcp://host:9090 for Pravega's
own client. Lines that are not as the figure prints them are marked.
"""

import asyncio
import sys
import uuid

from lithops.retries import RetryingFunctionExecutor  # mended: a function may be killed

from hpc_connector.slices import CloudObject, open_executor
from hpc_connector.slices.formats.text import UTF8Text, whole_words_strategy
from hpc_connector.streams import pravega_client  # mended: was import pravega_client

SCOPE, QUIET = "word-count", 3


def count_words(lines):
    """Return how often each word is in lines."""
    words = {}
    for line in lines:
        for word in line.lower().split():  # mended: was line.decode(...), of a str
            words[word] = words.get(word, 0) + 1
    return words


def map_object(part):  # mended: an obj is read by Lithops, which may give nothing
    """Count the words of a part of an object."""
    return count_words(part.get().splitlines())  # mended: obj['data'] is a TypeError


async def read_stream(endpoint, stream, segments):
    """Count the words of a stream, and its events."""
    manager = pravega_client.StreamManager(endpoint)
    group = f"group-{uuid.uuid4()}"  # mended: what a killed reader released is lost
    reader_group = manager.create_reader_group(group, SCOPE, stream)
    reader = reader_group.create_reader("reader")
    lines, n_empty = [], 0
    while n_empty < segments + QUIET:  # mended: it had no end
        part = await reader.get_segment_slice_async()
        found = [event.data().decode() for event in part]
        n_empty = 0 if found else n_empty + 1  # the end of a segment is empty, too
        lines += found
        reader.release_segment(part)
    reader.reader_offline()  # mended: was in the loop
    return count_words(lines), len(lines)


def map_stream(endpoint, stream, segments):
    """Count the words of a stream, and its events."""
    return asyncio.run(read_stream(endpoint, stream, segments))


def merge_dicts(dicts):
    """Return the sum of counts."""
    words = {}  # mended: was a syntax error
    for each in dicts:
        for word, n in each.items():
            words[word] = words.get(word, 0) + n
    return words


def write_stream(endpoint, stream, segments, lines):
    """Make a stream, write lines to it, and end it."""
    manager = pravega_client.StreamManager(endpoint)
    manager.create_scope(SCOPE)
    manager.create_stream(SCOPE, stream, segments)
    writer = manager.create_writer(SCOPE, stream)
    for line in lines:
        writer.write_event(line)
    writer.flush()
    manager.seal_stream(SCOPE, stream)  # mended: or nobody knows that it is all


if __name__ == "__main__":
    endpoint, segments, text = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    slices = [
        part
        for path in sys.argv[4:]
        for part in CloudObject.from_path(UTF8Text, path)
        .preprocess()
        .partition(whole_words_strategy, num_chunks=2)
    ]
    with open(text, encoding="utf-8") as file:
        lines = list(file)  # with their ends: Pravega's client reads no empty event
    stream = f"lines-{uuid.uuid4().hex[:8]}"
    write_stream(endpoint, stream, segments, lines)

    with RetryingFunctionExecutor(open_executor()) as fexec:  # mended: was backends=
        futures = fexec.map(map_object, slices, retries=2)
        futures += fexec.map(map_stream, [(endpoint, stream, segments)], retries=2)
        fexec.wait(futures, throw_except=False, show_progressbar=False)
        *found, (of_stream, n_events) = [future.result() for future in futures]
    if n_events != len(lines):
        sys.exit(f"{endpoint}: {n_events} events: expected {len(lines)}, one a line")
    counts = merge_dicts([*found, of_stream])
    for word, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        print(n, word)
