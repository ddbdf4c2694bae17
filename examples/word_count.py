"""Count the words of text objects by functions of Lithops: D2.2, figure 17.

word_count.py s3://testdata/a.txt s3://testdata/b.txt
"""

import sys
from collections import Counter

from hpc_connector.slices import CloudObject, open_executor
from hpc_connector.slices.formats.text import UTF8Text, whole_words_strategy


def count_words(text):
    """Return how often each word is in a text."""
    return Counter(text.lower().split())


def add(results):
    """Return the sum of counts; the name of the parameter is Lithops'."""
    return sum(results, Counter())


if __name__ == "__main__":
    objects = [CloudObject.from_path(UTF8Text, path) for path in sys.argv[1:]]
    slices = [
        part
        for co in objects
        for part in co.preprocess().partition(whole_words_strategy, num_chunks=4)
    ]
    with open_executor() as fexec:
        fexec.map_reduce(lambda s: count_words(s.get()), slices, add, spawn_reducer=0)
        counts = fexec.get_result(show_progressbar=False)
    for word, count in counts.most_common(10):
        print(f"{count:>7} {word}")
    print(f"{counts.total()} words, {len(counts)} different, in {len(slices)} slices")
