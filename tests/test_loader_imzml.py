"""imzML: equal to pyimzML's reading, every form of the XML, and every fault."""

import hashlib
import itertools
import random
import re
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_connector.errors import BadInput
from hpc_connector.loader.spectra.ibd import (
    UUID_BYTES,
    check_ibd,
    get_spectrum_bytes,
    read_spectra,
)
from hpc_connector.loader.spectra.imzml import read_imzml
from hpc_connector.partitioner.launch import get_mpicomm
from imzml import TYPES, write_imzml
from metabolite_annotation import spectra as spectra_module
from metabolite_annotation.spectra import load_spectra

DATA = Path(__file__).parent / "data/imzml"
REAL = ["Example_Continuous", "Example_Processed", "Untreated_3_434_tiny"]
FEW = [
    (1, 1, [100.0, 200.0, 300.0], [1.0, 0.0, 3.0]),
    (2, 1, [], []),
    (2, 2, [150.0, 250.0], [4.0, 5.0]),
]


@pytest.fixture
def few(tmp_path):
    """Return a dataset of three spectra."""
    write_imzml(tmp_path / "few.imzML", FEW)
    return tmp_path / "few.imzML"


def read_all(path):
    """Return all peaks of a dataset after all checks."""
    imzml = read_imzml(str(path))
    check_ibd(imzml)
    return imzml, read_spectra(imzml, 0, len(imzml.x))


def read_by_pyimzml(path):
    """Return coordinates, polarity, and m/z and intensities of each spectrum."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyimzml.ImzMLParser import ImzMLParser

        with ImzMLParser(str(path)) as parser:
            known = [parser.getspectrum(k) for k in range(len(parser.coordinates))]
            return np.array(parser.coordinates)[:, :2], parser.polarity, known


def check_against_pyimzml(path):
    places, polarity, known = read_by_pyimzml(path)
    imzml, peaks = read_all(path)
    npt.assert_array_equal(np.stack([imzml.x, imzml.y], 1), places)
    npt.assert_array_equal(imzml.n_peaks, [len(mz) for mz, _ in known])
    assert imzml.polarity == (polarity or "")
    mz = np.concatenate([mz for mz, _ in known])
    intensity = np.concatenate([i for _, i in known])
    npt.assert_array_equal(peaks.mz, mz[intensity > 0])
    npt.assert_array_equal(peaks.intensity, intensity[intensity > 0])
    assert peaks.n_zero == (intensity == 0).sum()


@pytest.mark.parametrize("name", REAL)
def test_read_spectra__of_real_files_as_pyimzml(name):
    check_against_pyimzml(DATA / f"{name}.imzML")


@pytest.mark.parametrize("mz_type", ["f4", "f8"])
@pytest.mark.parametrize("intensity_type", ["f4", "i4"])
@pytest.mark.parametrize("mode", ["processed", "continuous"])
def test_read_spectra__of_written_files_as_pyimzml(
    tmp_path, mode, mz_type, intensity_type
):
    mz = [100.1, 200.2, 300.3]
    spectra = [(x, y, mz, [x, 0, y]) for x, y in ((1, 1), (3, 1), (2, 2))]
    types = {"mz_type": mz_type, "intensity_type": intensity_type}
    write_imzml(tmp_path / "some.imzML", spectra, mode=mode, **types)
    check_against_pyimzml(tmp_path / "some.imzML")


def test_read_imzml__takes_what_spectra_say():
    imzml = read_imzml(str(DATA / "Untreated_3_434_tiny.imzML"))
    assert imzml.tic[0] == 6806088000.0
    assert (imzml.lowest_mz[0], imzml.highest_mz[0]) == (159.71396, 2637.547)
    assert imzml.uuid == "f1da2b10506649deb9a3243075247448"
    assert imzml.checksum[0] == "sha1"
    of_thermo = read_imzml(str(DATA / "Example_Processed.imzML")).acquisition
    assert of_thermo.instruments[0][0].what == "MS:1000557 LTQ FT Ultra"


@st.composite
def datasets(draw):
    """Return spectra, and the options of the writer."""
    mz_type = draw(st.sampled_from(list(TYPES)))
    intensity_type = draw(st.sampled_from(list(TYPES)))
    mode = draw(st.sampled_from(["processed", "continuous"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    lengths = draw(st.lists(st.integers(0, 6), min_size=1, max_size=5))
    if mode == "continuous":
        lengths = [lengths[0]] * len(lengths)

    def fill(dtype, n):
        found = rng.integers(-3, 120, n).astype(dtype)
        if dtype[0] == "f":
            found[rng.random(n) < 0.2] = rng.choice([np.nan, np.inf, -np.inf, 0.5])
        return found

    shared = fill(mz_type, lengths[0])
    spectra = []
    for k, n in enumerate(lengths):
        mz = shared if mode == "continuous" else fill(mz_type, n)
        spectra.append((k + 1, 2 * k + 1, mz, fill(intensity_type, n)))
    options = {
        "mode": mode,
        "mz_type": mz_type,
        "intensity_type": intensity_type,
        "is_zlib": draw(st.booleans()),
        "inline": draw(st.booleans()),
        "checksum": draw(st.sampled_from(["md5", "sha1", "sha256", None])),
        "polarity": draw(st.sampled_from(["positive", "negative", ""])),
    }
    return spectra, options


@settings(max_examples=100)
@given(datasets(), st.integers(0, 5))
def test_read_spectra__gives_back_what_was_written(tmp_path_factory, dataset, cut):
    spectra, options = dataset
    path = tmp_path_factory.mktemp("written") / "some.imzML"
    write_imzml(path, spectra, **options)
    imzml, peaks = read_all(path)
    assert (imzml.mode, imzml.polarity) == (options["mode"], options["polarity"])
    mz = np.concatenate([mz for _, _, mz, _ in spectra]).astype(float)
    intensity = np.concatenate([i for *_, i in spectra]).astype(float)
    is_number = (mz > 0) & (mz < np.inf) & (intensity < np.inf)
    kept = is_number & (intensity > 0)
    npt.assert_array_equal(peaks.mz, mz[kept])
    npt.assert_array_equal(peaks.intensity, intensity[kept].astype(np.float32))
    assert peaks.n_zero == (is_number & (intensity == 0)).sum()
    assert (
        peaks.n_negative
        == ((is_number & (intensity < 0)) | (intensity == -np.inf)).sum()
    )
    assert len(mz) == len(peaks.mz) + peaks.n_nan + peaks.n_negative + peaks.n_zero
    ends = np.cumsum([0, *(len(mz) for _, _, mz, _ in spectra)])
    assert peaks.n_kept.tolist() == [
        kept[a:b].sum() for a, b in itertools.pairwise(ends.tolist())
    ]
    assert peaks.n_unsorted == sum(
        any(a > b for a, b in itertools.pairwise(mz.tolist()))
        for _, _, mz, _ in spectra
    )
    parts = [read_spectra(imzml, 0, cut), read_spectra(imzml, cut, len(spectra))]
    for whole, first, second in zip(
        peaks[:3], *(part[:3] for part in parts), strict=True
    ):
        npt.assert_array_equal(np.concatenate([first, second]), whole)
    npt.assert_array_equal(np.add(*(part[3:] for part in parts)), peaks[3:])
    n_bytes = get_spectrum_bytes(imzml).sum()
    assert n_bytes <= path.with_suffix(".ibd").stat().st_size


def test_read_spectra__counts_what_is_left_out(tmp_path):
    mz = [300.0, 200.0, np.nan, 400.0, 500.0, -1.0]
    spectra = [(1, 1, mz, [1, 2, 3, -4, 0, 5]), (2, 1, [1.0, 2.0], [1, np.nan])]
    write_imzml(tmp_path / "odd.imzML", spectra)
    _, peaks = read_all(tmp_path / "odd.imzML")
    assert peaks.mz.tolist() == [300.0, 200.0, 1.0]
    assert peaks.n_kept.tolist() == [2, 1]
    assert peaks[3:] == (3, 1, 1, 1)


COMMENT = '<!-- <spectrum id="s9"> <cvParam/> - -->'
FORMS = {
    "single quotes": lambda t: t.replace('"', "'"),
    "comments": lambda t: t.replace("<scanList", f"{COMMENT}<scanList"),
    "a comment before": lambda t: t.replace("<fileDesc", f"{COMMENT}<fileDesc", 1),
    "a comment after": lambda t: f"{t}\n{COMMENT}\n",
    "an instruction": lambda t: t.replace("<run", "<?spectrum <mzML> ?><run"),
    "space": lambda t: t.replace("<cvParam ", "<cvParam\n\t ").replace("/>", "\n/>"),
    "space about =": lambda t: t.replace('="', ' =\n"'),
    "new line": lambda t: t.replace("<spectrum ", "<spectrum\n"),
    "new lines of two bytes": lambda t: t.replace("\n", "\r\n"),
    "attributes in other order": lambda t: re.sub(
        r"(?<=<cvParam)( [^>]*)(?=/>)",
        lambda found: "".join(re.findall(r' \w+="[^"]*"', found[1])[::-1]),
        t,
    ),
    "tags that end apart": lambda t: re.sub(
        r"<(cvParam|ref\w+Ref|binary)\b([^>]*)/>", r"<\1\2></\1>", t
    ),
    "marks in values": lambda t: t.replace('name=""', 'name="a > b / c = &lt;d&gt;"'),
    "letters of one byte": lambda t: t.replace('name=""', 'name="\xb5 \xe4\xff"'),
    "letters of two bytes": lambda t: t.replace("ISO-8859-1", "UTF-8").replace(
        'name=""', 'name="\xb5 \u2264 \U0001f600"'
    ),
    "byte order mark": lambda t: "\ufeff" + t.replace("ISO-8859-1", "UTF-8"),
    "no declaration": lambda t: t[t.index("<mzML") :],
    "no namespace": lambda t: t.replace(' xmlns="http://psi.hupo.org/ms/mzml"', ""),
    "an index about it": lambda t: t.replace("<mzML ", "<indexedmzML><mzML ").replace(
        "</mzML>",
        "</mzML><indexList count='1'><index name='spectrum'><offset idRef='s0'>0"
        "</offset></index></indexList></indexedmzML>",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_read_imzml__in_any_form(few, form):
    before = read_all(few)[0]
    text = FORMS[form](few.read_text())
    assert text != few.read_text()
    encoding = "latin-1" if "ISO-8859-1" in text else "utf-8"
    few.write_bytes(text.encode(encoding))
    after = read_all(few)[0]
    for field in vars(before):
        npt.assert_array_equal(getattr(after, field), getattr(before, field))


def change(old, new, count=-1):
    return lambda text: text.replace(old, new, count)


SECOND = 'accession="IMS:1000050" name="position x" value="2"'
Z = "</scan></scanList><binaryDataArrayList"
FAULTS = {
    "line 14: malformed XML": change("</scan>", "</skan>", 1),
    "line 1.: malformed XML": lambda t: t[: t.index("</spectrumList>")],
    "malformed XML": change("<mzML", "<mzML <", 1),
    "unknown encoding: IRO-8859-1": change("ISO-", "IRO-", 1),
    "'rot13' is not a text encoding": change("ISO-8859-1", "rot13"),
    "has no spectrum": lambda t: (
        t[: t.index("<spectrum ")] + t[t.index("</spectrumList>") :]
    ),
    "spectrum 2 has no coordinates": change(SECOND, SECOND.replace('"2"', '"?"'), 1),
    "spectrum 1 has no coordinates": change('50" name="position x', '59" name="place'),
    "position x 1.37: expected whole": change(
        SECOND, SECOND.replace('"2"', '"1.37"'), 1
    ),
    "x 2147483648, y 1: expected position x and y, whole": change(
        SECOND, SECOND.replace('"2"', '"2147483648"'), 1
    ),
    "3 sections": lambda t: "".join(
        part + (Z if k < 3 else "")
        if k == 3
        else part + f'<cvParam accession="IMS:1000052" value="{k}"/>' + Z
        for k, part in enumerate(t.split(Z))
    ),
    r"spectrum 1 \(x 1, y 1\) lacks an array": change(
        '02" name="external offset', '09" name="begin'
    ),
    "1, y 1.* lacks an array: expected length": change(
        '03" name="external array length', '09" name="n'
    ),
    "lacks an array": change("MS:1000515", "MS:1000599"),
    "is no number": change('length" value="2"', 'length" value="two"', 1),
    "m/z of an unknown type": change(
        'MS:1000523" name="64-bit float', 'MS:1000599" name="80-bit float'
    ),
    "intensities of an unknown type": change(
        'MS:1000521" name="32-bit float', 'MS:1000520" name="16-bit float'
    ),
    "line 15: arrays of several types": lambda t: t.replace(
        '<referenceableParamGroupRef ref="mz"/>',
        '<cvParam accession="MS:1000514"/><cvParam accession="MS:1000574"/>',
        1,
    ),
    "arrays of several types": lambda t: t.replace(
        '<referenceableParamGroupRef ref="mz"/>',
        '<cvParam accession="MS:1000514"/><cvParam accession="MS:1000521"/>',
        1,
    ),
    "1 positive and 3 negative": lambda t: t.replace(
        "MS:1000130", "MS:1000129"
    ).replace("<scanList", '<cvParam accession="MS:1000130"/><scanList', 1),
    "expected it to be continuous or processed": change("IMS:1000031", "IMS:1000039"),
    "expected it to be continuous": lambda t: t.replace(
        "<fileContent>", '<fileContent><cvParam accession="IMS:1000030"/>'
    ),
    "m/z of 4 values in 24 bytes": change('length" value="3"', 'length" value="4"', 1),
    "m/z of 3 values in 48 bytes: expected 3 of 8 bytes": lambda t: t.replace(
        'length" value="24"', 'length" value="48"'
    ).replace('offset" value="40"', 'offset" value="39"'),
    "intensities of 9 values": lambda t: (
        t.replace('length" value="3"', "@@", 1)
        .replace('length" value="3"', 'length" value="9"', 1)
        .replace("@@", 'length" value="3"')
    ),
    "was written with": change("00000000-0000-0000-0000-00000000002a", "1"),
    "was written with none": change("IMS:1000080", "IMS:1000089"),
}


@pytest.mark.parametrize("message", FAULTS)
def test_read_imzml__says_what_is_wrong(few, message):
    text = FAULTS[message](few.read_text())
    assert text != few.read_text()
    few.write_text(text)
    with pytest.raises(BadInput, match=message) as error:
        read_all(few)
    assert "\n" not in str(error.value)


VALUES = ["-1", "0.5", "1e300", "1e18", "1e13", str(2**53), str(2**62), str(2**63)]
PLACES = [
    (what, value, is_zlib)
    for what in ("array length", "encoded length", "offset")
    for value in VALUES
    for is_zlib in (False, True)
    # of plain arrays it is not needed, and so not believed
    if (what, value, is_zlib) != ("encoded length", "1e13", False)
]


@pytest.mark.parametrize(("what", "value", "is_zlib"), PLACES)
def test_read_imzml__refuses_places_that_cannot_be(tmp_path, what, value, is_zlib):
    path = tmp_path / "few.imzML"
    write_imzml(path, FEW, is_zlib=is_zlib)
    read_all(path)  # loads the kernels, which takes memory
    pattern = rf'(external {what}" value=)"\d+"'
    for count in (1, 0):  # the first one, and all
        path.write_text(re.sub(pattern, rf'\1"{value}"', path.read_text(), count=count))
        tracemalloc.start()
        try:
            with pytest.raises(BadInput):
                read_all(path)
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("is_zlib", [False, True])
def test_read_imzml__refuses_a_length_whose_bytes_overflow(tmp_path, is_zlib):
    path = tmp_path / "few.imzML"
    write_imzml(path, FEW[1:2], intensity_type="f8", is_zlib=is_zlib)
    text = re.sub(
        r'array length" value="0"',
        'array length" value="2305843009213694e3"',  # 2 ** 61
        re.sub(
            r'encoded length" value="\d+"',
            'encoded length" value="0"',
            path.read_text(),
        ),
    )
    path.write_text(text)
    with pytest.raises(BadInput, match="lacks an array"):
        read_all(path)


def test_read_imzml__of_files_that_are_not_there(few, tmp_path):
    with pytest.raises(BadInput, match="No such file"):
        read_imzml(str(tmp_path / "none.imzML"))
    few.with_suffix(".ibd").unlink()
    with pytest.raises(BadInput, match=r"few\.ibd is missing"):
        read_imzml(str(few))
    (tmp_path / "empty.imzML").write_text("")
    (tmp_path / "empty.ibd").write_text("")
    with pytest.raises(BadInput, match="is empty"):
        read_imzml(str(tmp_path / "empty.imzML"))


def test_check_ibd__of_what_is_no_file(few):
    few.with_suffix(".ibd").unlink()
    few.with_suffix(".ibd").mkdir()
    with pytest.raises(BadInput, match=r"few\.ibd: cannot be read: Is a directory"):
        read_all(few)


def test_check_ibd__says_where_it_is_cut(few):
    ibd = few.with_suffix(".ibd")
    ibd.write_bytes(ibd.read_bytes()[:-1])
    with pytest.raises(BadInput, match=r"cut: spectrum 3 \(x 2, y 2\) ends at byte 76"):
        read_all(few)
    imzml = read_imzml(str(few))
    with pytest.raises(BadInput, match="is cut: expected"):
        read_spectra(imzml, 2, 3)
    assert len(read_spectra(imzml, 0, 2).mz) == 2


@pytest.mark.parametrize("checksum", ["md5", "sha1", "sha256"])
def test_check_ibd__compares_the_checksum(tmp_path, checksum):
    path = tmp_path / "few.imzML"
    write_imzml(path, FEW, checksum=checksum)
    ibd = path.with_suffix(".ibd")
    damaged = bytearray(ibd.read_bytes())
    damaged[30] ^= 1
    ibd.write_bytes(damaged)
    found = hashlib.new(checksum, damaged).hexdigest()
    with pytest.raises(BadInput, match=f"damaged: its {checksum} is {found}, expected"):
        read_all(path)
    check_ibd(read_imzml(str(path)), checksum=False)


def test_read_spectra__refuses_damaged_compression(tmp_path):
    path = tmp_path / "packed.imzML"
    write_imzml(path, FEW, is_zlib=True, checksum=None)
    ibd = path.with_suffix(".ibd")
    whole = ibd.read_bytes()
    ibd.write_bytes(whole[:20] + b"\xff\xff" + whole[22:])
    with pytest.raises(BadInput, match=r"spectrum 1 \(x 1, y 1\) is damaged"):
        read_all(path)
    ibd.write_bytes(whole)
    text = path.read_text()
    path.write_text(text.replace('array length" value="3"', 'array length" value="2"'))
    with pytest.raises(BadInput, match="expected 16 bytes of a compressed array"):
        read_all(path)


def survive(path):
    """Read what may be damaged; return whether it was refused."""
    try:
        read_all(path)
    except BadInput:
        return True
    return False


@pytest.mark.parametrize(
    ("suffix", "checksum", "step"),
    [(".imzML", "sha1", 7), (".ibd", "sha1", 1), (".ibd", None, 1)],
)
@pytest.mark.parametrize("is_zlib", [False, True])
def test_read_imzml__survives_cuts_and_flips(tmp_path, suffix, checksum, step, is_zlib):
    path = tmp_path / "few.imzML"
    write_imzml(path, FEW, is_zlib=is_zlib, checksum=checksum)
    chance = random.Random(7)
    target = path.with_suffix(suffix)
    whole = target.read_bytes()
    for at in range(0, len(whole.rstrip()), step):
        target.write_bytes(whole[:at])
        assert survive(path), f"cut at {at}"
    n_refused = 0
    for at in range(0, len(whole), step):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << chance.randrange(8)
        target.write_bytes(flipped)
        n_refused += survive(path)
    n = len(range(0, len(whole), step))
    if suffix == ".imzML":
        assert n_refused > 0.2 * n
    else:
        assert n_refused == n if checksum else n_refused >= UUID_BYTES


def make_odd_spectra(mz_type):
    """Return spectra with ties in m/z, a pixel twice, extremes, and no order."""
    rng = np.random.default_rng(1)
    spectra = []
    for k in range(40):
        n = rng.integers(0, 90) if k % 8 else 0
        mz = rng.choice([0.3, 99.9, 100.0, 100.0001, 1e5, 70000.5, np.nan], n)
        intensity = rng.choice([0, -1, np.nan, 2, 3.5, 1e9], n) + rng.integers(0, 2, n)
        spectra.append((1 + k % 7, 1 + k // 9, mz.astype(mz_type), intensity))
    return spectra


def sort_naively(spectra):
    """Return peaks as NumPy sorts them, places, and the norms of each."""
    kept = [
        (y, x, mz[(mz > 0) & (i > 0)], i[(mz > 0) & (i > 0)].astype("f4").astype(float))
        for x, y, mz, i in spectra
    ]
    places = sorted({(y, x) for y, x, _, _ in kept})
    pixel = np.concatenate([[places.index((y, x))] * len(i) for y, x, _, i in kept])
    mz, intensity = (np.concatenate([row[k] for row in kept]) for k in (2, 3))
    order = np.argsort(mz, kind="stable")
    norms = {
        "tic": lambda found: sum(i.sum() for i in found),
        "rms": lambda found: np.mean([len(i) and (i**2).mean() ** 0.5 for i in found]),
        "median": lambda found: np.mean([len(i) and np.median(i) for i in found]),
    }
    of_places = [[i for y, x, _, i in kept if (y, x) == place] for place in places]
    expected = {n: [norm(found) for found in of_places] for n, norm in norms.items()}
    return (mz[order], pixel[order], intensity[order]), places, expected


@pytest.mark.parametrize("mz_type", ["f4", "f8"])
@pytest.mark.parametrize("chunk", [1, 100, 1 << 24])
def test_load_spectra__sorts_as_numpy(tmp_path, monkeypatch, mz_type, chunk):
    monkeypatch.setattr(spectra_module, "CHUNK_BYTES", chunk)
    spectra = make_odd_spectra(mz_type)
    write_imzml(tmp_path / "odd.imzML", spectra, mz_type=mz_type)
    peaks, places, norms = sort_naively(spectra)
    imzml = read_imzml(str(tmp_path / "odd.imzML"))
    with load_spectra(get_mpicomm(serial=True), imzml) as found:
        assert found.peaks.mz.dtype == mz_type
        for array, expected in zip(found.peaks.to_tuple(), peaks, strict=True):
            npt.assert_array_equal(array, expected)
        rows = list(zip(found.grid.y + 1, found.grid.x + 1, strict=True))
        assert rows == places
        assert (found.grid.height, found.grid.width) == (5, 7)
        assert set(found.norms) == set(norms)
        for name, expected in norms.items():
            npt.assert_allclose(found.norms[name], expected, rtol=1e-12)
        whole = read_spectra(imzml, 0, 40)
        dropped = found.facts["dropped"]
        assert dropped == {name: getattr(whole, name) for name in dropped}
        assert min(dropped.values()) > 30
        assert found.facts["duplicate_spectra"] == 40 - len(places)
        assert found.facts["empty_spectra"] == (whole.n_kept == 0).sum() >= 5
        assert found.facts["mz_range"] == [peaks[0][0], peaks[0][-1]]


@settings(max_examples=25)  # each of which clears half a million buckets
@given(
    st.lists(
        st.lists(st.floats(0.125, 1e6, width=32) | st.just(200.5), max_size=60),
        min_size=1,
        max_size=4,
    ).filter(any)
)
def test_load_spectra__sorts_any_peaks(tmp_path_factory, lists):
    path = tmp_path_factory.mktemp("any") / "any.imzML"
    numbers = itertools.count(1)
    spectra = [
        (k, 1, np.array(mz), np.array([float(next(numbers)) for _ in mz]))
        for k, mz in enumerate(lists, 1)
    ]
    write_imzml(path, spectra)
    peaks, _, _ = sort_naively(spectra)
    with load_spectra(get_mpicomm(serial=True), read_imzml(str(path))) as found:
        for array, expected in zip(found.peaks.to_tuple(), peaks, strict=True):
            npt.assert_array_equal(array, expected)


@pytest.mark.parametrize("mz", [1e-300, 0.5, 1.0, 65535.999, 65536.0, 1e300])
def test_load_spectra__of_one_peak(tmp_path, mz):
    write_imzml(tmp_path / "one.imzML", [(3, 4, [mz], [2.0])])
    imzml = read_imzml(str(tmp_path / "one.imzML"))
    with load_spectra(get_mpicomm(serial=True), imzml) as found:
        assert [array.tolist() for array in found.peaks.to_tuple()] == [[mz], [0], [2]]
        assert {name: norm.tolist() for name, norm in found.norms.items()} == {
            "tic": [2],
            "rms": [2],
            "median": [2],
        }


def test_load_spectra__of_no_peak(tmp_path):
    write_imzml(tmp_path / "none.imzML", [(1, 1, [], []), (2, 1, [100.0], [0.0])])
    imzml = read_imzml(str(tmp_path / "none.imzML"))
    with (
        pytest.raises(BadInput, match=r"none\.imzML has no peak"),
        load_spectra(get_mpicomm(serial=True), imzml),
    ):
        pass


def test_load_spectra__takes_the_total_of_the_file(tmp_path):
    path = tmp_path / "few.imzML"
    write_imzml(path, FEW, with_tic=True)
    path.write_text(path.read_text().replace('value="9.0"', 'value="90.0"'))
    for text, expected in (
        (path.read_text(), [4, 0, 90]),
        (path.read_text().replace("MS:1000285", "MS:1000289", 1), [4, 0, 9]),
    ):
        path.write_text(text)
        with load_spectra(get_mpicomm(serial=True), read_imzml(str(path))) as found:
            assert found.norms["tic"].tolist() == expected


@pytest.mark.mpi(ranks=[2, 3])
def test_load_spectra__same_bytes_on_any_number_of_ranks(mpi_tmp_path, comm):
    def digest(spectra):
        arrays = [*spectra.peaks.to_tuple(), *spectra.norms.values(), spectra.grid.x]
        return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()

    for mz_type in ("f4", "f8"):  # at once, as starting ranks takes seconds
        path = mpi_tmp_path / f"{mz_type}.imzML"
        if comm.rank == 0:
            write_imzml(path, make_odd_spectra(mz_type), mz_type=mz_type)
        comm.Barrier()
        imzml = read_imzml(str(path))
        with load_spectra(get_mpicomm(serial=True), imzml) as spectra:
            alone = digest(spectra), spectra.facts
        with load_spectra(comm, imzml) as spectra:
            assert (digest(spectra), spectra.facts) == alone
