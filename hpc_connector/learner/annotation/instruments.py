"""Kinds of mass spectrometers: how resolving power goes with m/z, by their names.

Accessions are those of models and analyzers in the PSI-MS controlled vocabulary, 4.1,
by the kind that it gives for each. Names are read where there is none of these.
"""

import re

KINDS = ("FTICR", "Orbitrap", "TOF")

_ACCESSIONS = {
    "FTICR": (
        "1000079 1000141-1000142 1000158 1000162-1000163 1000181-1000182 1000200 "
        "1000448 1000557 1000695 1001548-1001549 1001556 1003459 1003465 1003478 "
        "1003995"
    ),
    "Orbitrap": (
        "1000449 1000484 1000555-1000556 1000639 1000643 1000649 1001742 "
        "1001910-1001911 1002416-1002417 1002523 1002526 1002634 1002732 1002835 "
        "1002877 1002992-1002994 1003028-1003029 1003094-1003096 1003112 1003245 "
        "1003356 1003378 1003395 1003411 1003423 1003442 1003496-1003497 1003499 "
        "1003987 1003990"
    ),
    "TOF": (
        "1000084 1000140 1000148-1000149 1000151-1000152 1000159 1000170-1000171 "
        "1000177-1000178 1000183 1000188-1000190 1000196 1000201-1000204 1000472 "
        "1000604 1000607-1000612 1000632 1000652 1000655-1000658 1000660 "
        "1000675-1000677 1000696 1000701-1000705 1000932 1001482 1001534-1001541 "
        "1001543-1001544 1001547 1001550 1001553-1001555 1001770-1001785 "
        "1001801-1001804 1001945 1002077 1002275-1002276 1002278-1002280 1002299 "
        "1002382 1002533 1002583-1002584 1002666-1002667 1002674 1002719 "
        "1002726-1002729 1002783-1002793 1002796-1002798 1002998 1003004-1003005 "
        "1003122-1003124 1003183-1003185 1003229-1003231 1003252 1003293 "
        "1003379-1003381 1003383 1003397 1003404 1003412 1003443-1003444 1003456 "
        "1003460 1003462-1003464 1003471-1003477 1003479-1003482 1003506 "
        "1003508-1003511 1003525 1003527-1003528 1003532-1003537 1003542-1003552 "
        "1003555-1003561 1003568 1003804-1003805 1003988-1003989"
    ),
}
_NAMES = {  # in this order: some models of one kind have a word of another
    "Orbitrap": (
        r"\borbi|exactive|exploris|excedion|hf-?x\b|uhmr|tribrid|\bid-x|\biq-x"
        r"|(?<!-)\bqe\b|fusion|lumos|eclipse|(?<!evoq )(?<!qstar )\belite\b"
        r"|\bascend\b|\bastral\b"
    ),
    "FTICR": (
        r"ft[-/ ]?icr|ion cyclotron|solari? ?x|scimax|mrms|(ltq|finnigan)[ -]?ft"
        r"|\bft[ -]ultra|\b(bio)?apex\b|\bapex[- ]?q|ionspec"
        r"|\b\d{1,2}(\.\d+)? ?(t|tesla)\b"
    ),
    "TOF": (
        r"tof|time[- ]of[- ]flight|\bmrt\b|synapt|xevo(?! tq)|[a-z]flex|maxis|\bimpact"
        r"|\bcompact\b|qstar|axima|pegasus|\btims|imscope"
        r"|m@ldi|\blct\b|\bgct\b|cyclic ims|\bvion\b|select series|j105|j series"
        r"|lcms-90[35]0|jms-s3000|\bx500|agilent\D* 6[25]\d\d|maldi micro|voyager"
        r"|reflectron|maldi-?(7090|80[23]0)|proteomics analyzer"
    ),
}
_WEAK = re.compile(r"\bft-?ms\b", re.IGNORECASE)  # of Orbitraps too
_ACCESSION = re.compile(r"\bMS:(\d{7})\b")


def _list_accessions(text: str) -> list[int]:
    """Return the numbers of ranges such as 1000141-1000142."""
    ends = ([int(end) for end in part.split("-")] for part in text.split())
    return [n for pair in ends for n in range(pair[0], pair[-1] + 1)]


_OF_ACCESSION = {
    number: kind
    for kind, numbers in _ACCESSIONS.items()
    for number in _list_accessions(numbers)
}
_OF_NAME = {k: re.compile(words, re.IGNORECASE) for k, words in _NAMES.items()}


def find_kinds(text: str) -> set[str]:
    """Return the kinds of an instrument by accession and name of a parameter.

    Examples
    --------
    >>> find_kinds("MS:1001549 solariX"), find_kinds("timsTOF fleX")
    ({'FTICR'}, {'TOF'})
    >>> find_kinds("MS:1000081 quadrupole")
    set()
    """
    numbers = (int(number) for number in _ACCESSION.findall(text))
    kinds = {_OF_ACCESSION[n] for n in numbers if n in _OF_ACCESSION}
    name = _ACCESSION.sub("", text)
    by_name = (kind for kind, words in _OF_NAME.items() if words.search(name))
    return kinds | {kind for kind in [next(by_name, None)] if kind}


def find_weak_kinds(text: str) -> set[str]:
    """Return the kind that a word stands for which is used of others too."""
    return {"FTICR"} if _WEAK.search(text) else set()
