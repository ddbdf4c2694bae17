"""imzML as exporters, and XML, allow it to be written: the same arrays."""

import bz2
import codecs
import gzip
import hashlib
import html
import json
import lzma
import re
import shutil
import uuid
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings

from hpc_connector.errors import BadInput
from hpc_connector.loader.spectra import scan as imzml_scan
from hpc_connector.loader.spectra.ibd import check_ibd, read_spectra
from hpc_connector.loader.spectra.imzml import read_imzml
from hpc_connector.loader.spectra.plain import make_plain
from hpc_connector.notes import Assumption
from hpc_connector.slices import CloudObject
from hpc_connector.slices.formats.imzml import ImzML, partition_num_spectra
from imzml import NUMBER, make_param, write_imzml
from metabolite_annotation.program import main
from test_loader_imzml import datasets

DATA = Path(__file__).parent / "data/imzml"
FEW = [
    (1, 1, [100.0, 200.0, 300.0], [1.0, 0.5, 3.0]),
    (2, 1, [], []),
    (2, 2, [150.0, 250.0], [4.0, 5.0]),
    (1, 2, [120.0, 130.0, 140.0, 150.0], [4.0, 5.0, 6.0, 7.0]),
]


@pytest.fixture
def few(tmp_path):
    """Return a dataset of four spectra."""
    write_imzml(tmp_path / "few.imzML", FEW, with_tic=True)
    return tmp_path / "few.imzML"


def read_all(path, **options):
    """Return the metadata and all peaks of a dataset, after all checks."""
    imzml = read_imzml(str(path), **options)
    check_ibd(imzml)
    return imzml, read_spectra(imzml, 0, len(imzml.x))


def assert_same(found, expected):
    """Compare the metadata, but for what is said of them."""
    for name in vars(expected).keys() - {"assumed"}:
        npt.assert_array_equal(getattr(found, name), getattr(expected, name), name)


def say(imzml):
    return "; ".join(map(str, imzml.assumed))


# The XML

GROUPS = ("mz", "intensity", "scan")


def rename_groups(change_id, change_ref):
    def rename(text):
        for name in GROUPS:
            text = text.replace(f'Group id="{name}"', f'Group id="{change_id(name)}"')
            text = text.replace(f'ref="{name}"', f'ref="{change_ref(name)}"')
        return text

    return rename


def declare(encoding, new=None):
    """Return a function that writes XML in another encoding, and says so or not."""

    def write(text):
        declared = f'encoding="{new or encoding}"' if new != "" else ""
        return text.replace('encoding="ISO-8859-1"', declared).encode(encoding)

    return write


def put_before(mark, what):
    return lambda text: text.replace(mark, what + mark, 1)


def put_prefix(text, prefix="mz"):
    text = re.sub(r"<(/?)(\w)", rf"<\1{prefix}:\2", text)
    return text.replace("xmlns=", f"xmlns:{prefix}=")


def nest_groups(text):
    """Return XML in which the groups of arrays are in a group within a group."""
    for name in GROUPS:
        inner = re.search(rf'Group id="{name}">(.*?)</', text)[1]
        outer = '<referenceableParamGroupRef ref="{}"/>'
        groups = (
            f'Group id="{name}">{outer.format(f"{name}-2")}</referenceableParamGroup>'
            f'<referenceableParamGroup id="{name}-2">{outer.format(f"{name}-3")}'
            f"{outer.format(name)}</referenceableParamGroup>"
            f'<referenceableParamGroup id="{name}-3">{inner}</'
        )
        text = text.replace(f'Group id="{name}">{inner}</', groups)
    return text


ENTITY = '<!DOCTYPE mzML [<!ENTITY pos "IMS:10000"><!ENTITY many "a&#98;">]>\n'
FORMS = {
    "ids with &": rename_groups("{} &amp; co".format, "{} &#38; co".format),
    "ids with a quotation mark": rename_groups(
        "&quot;{}&quot;".format, "&#x22;{}&#34;".format
    ),
    "ids in single quotes": lambda t: rename_groups("{}>".format, "{}&gt;".format)(t),
    "ids with <": rename_groups("&lt;{}>".format, "&#x3c;{}&#62;".format),
    "ids with spaces": rename_groups("{} array".format, "{} array".format),
    "ids with spaces about": rename_groups(" {}".format, "{}\n".format),
    "ids of umlauts": lambda t: rename_groups("größe {}".format, "größe {}".format)(
        t
    ).encode("latin-1"),
    "ids of umlauts, UTF-8": lambda t: declare("utf-8")(
        rename_groups("größe {}".format, "gr&#246;&#xDF;e {}".format)(t)
    ),
    "ids of umlauts, UTF-16": lambda t: declare("utf-16")(
        rename_groups("größe {}".format, "gr&#246;ße {}".format)(t)
    ),
    "a character of a place": lambda t: t.replace(
        'length" value="3"', 'length" value="&#51;"'
    ),
    "a character of a total": lambda t: t.replace('value="4.5"', 'value="&#x34;.5"'),
    "a character of an accession": lambda t: t.replace("IMS:10000", "IMS&#58;10000"),
    "UTF-8 with a mark": lambda t: codecs.BOM_UTF8 + declare("utf-8")(t),
    "UTF-8 with a mark, undeclared": lambda t: (
        codecs.BOM_UTF8 + declare("utf-8", "")(t)
    ),
    "UTF-16": declare("utf-16"),
    "UTF-16 without a mark": declare("utf-16-le", "UTF-16"),
    "UTF-16 of big ends": lambda t: (
        codecs.BOM_UTF16_BE + declare("utf-16-be", "utf-16")(t)
    ),
    "UTF-16 of big ends without a mark": declare("utf-16-be"),
    "UTF-16 that is UTF-8": declare("utf-8", "utf-16"),
    "UTF-32": declare("utf-32"),
    "UTF-32 without a mark": declare("utf-32-be"),
    "Windows-1252": declare("windows-1252"),
    "Shift JIS": declare("shift_jis"),
    "GB18030": declare("gb18030"),
    "ASCII": declare("US-ASCII"),
    "a prefix": put_prefix,
    "a prefix and comments": lambda t: put_prefix(t, "psi.ms-1").replace(
        "<psi.ms-1:scan", "<!-- <spectrum > --><psi.ms-1:scan"
    ),
    "a prefix on spectra": lambda t: re.sub(
        r"<(/?)(spectrum|scan|cvParam|binary\w*)\b", r"<\1m:\2", t
    ).replace("xmlns=", 'xmlns:m="http://psi.hupo.org/ms/mzml" xmlns='),
    "a prefix on arrays": lambda t: re.sub(
        r"<(/?)(binary\w*)\b", r"<\1m:\2", t
    ).replace("xmlns=", 'xmlns:m="http://psi.hupo.org/ms/mzml" xmlns='),
    "a prefix on one spectrum": lambda t: re.sub(
        r'<spectrum (id="s2".*?)</spectrum>',
        r'<m:spectrum xmlns:m="http://psi.hupo.org/ms/mzml" \1</m:spectrum>',
        t,
    ),
    "a schema": lambda t: t.replace(
        "<mzML",
        '<mzML xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:schemaLocation="http://psi.hupo.org/ms/mzml mzML1.1.0.xsd"',
    ),
    "a DOCTYPE": put_before("<mzML", "<!DOCTYPE mzML>\n"),
    "a DOCTYPE of elsewhere": put_before(
        "<mzML", '<!DOCTYPE mzML SYSTEM "file:///nowhere/mzML.dtd">\n'
    ),
    "entities": lambda t: put_before("<mzML", ENTITY)(
        t.replace('"IMS:10000', '"&pos;').replace('"s0"', '"&many;&many;"')
    ),
    "defaults of attributes": lambda t: put_before(
        "<mzML",
        "<!DOCTYPE mzML [<!ATTLIST referenceableParamGroupRef ref CDATA 'scan'>]>\n",
    )(t.replace(' ref="scan"', "")),
    "CDATA": lambda t: t.replace(
        "<binary/>", "<binary><![CDATA[<spectrum > & ]]></binary>"
    ),
    "text": lambda t: t.replace("<binary/>", "<binary> a > b \n</binary>"),
    "instructions": lambda t: t.replace(
        "<scanList", '<?keep <spectrum id="?"> ?><scanList'
    ),
    "user's parameters": lambda t: t.replace(
        "<scanList", '<userParam name="position x" value="77"/><scanList'
    ),
    "other ontologies": lambda t: t.replace(
        "<scanList",
        '<cvParam cvRef="NCIT" accession="NCIT:C25342" value="2"/><scanList',
    ),
    "nested groups": nest_groups,
    "values in groups": lambda t: t.replace(
        'Group id="scan">',
        'Group id="scan">'
        + make_param("IMS:1000052", "position z", 1)
        + make_param("IMS:1000050", "position x", 9),
    ),
    "arrays in other order": lambda t: re.sub(
        r"(<binaryDataArray .*?</binaryDataArray>)(<binaryDataArray .*?Array>)",
        r"\2\1",
        t,
    ),
    "groups at the end": lambda t: re.sub(
        r"(<binaryDataArray [^>]*>)(<ref[^>]*>)(.*?)(<binary/>)", r"\1\3\2\4", t
    ),
    "no compression": lambda t: t.replace(make_param("MS:1000576"), ""),
    "an index": lambda t: t.replace(
        "<mzML", '<indexedmzML xmlns="http://psi.hupo.org/ms/mzml"><mzML'
    ).replace(
        "</mzML>",
        '</mzML><indexList count="1"><index name="spectrum"><offset idRef="s0">12'
        "</offset></index></indexList></indexedmzML>",
    ),
    "spectra without attributes": lambda t: re.sub("<spectrum [^>]*>", "<spectrum>", t),
    "accessions in small letters": lambda t: t.replace("IMS:", "ims:"),
    "accessions with spaces": lambda t: t.replace(
        'accession="', 'accession=" '
    ).replace('" name', ' " name'),
    "values with spaces": lambda t: re.sub(r'value="([^"]+)"', r'value=" \1	"', t),
    "values of a fraction": lambda t: re.sub(r'value="(\d+)"', r'value="\1.0"', t),
    "values with a sign and exponent": lambda t: re.sub(
        r'value="(\d+)"', r'value="+\1.000e+00"', t
    ),
    "an array list of another namespace": lambda t: t.replace(
        "<mzML ", '<mzML xmlns:v="urn:vendor" '
    ).replace("<scanList", '<v:note v:value="3"/><scanList'),
    "lines of Windows": lambda t: t.replace("\n", "\r\n").replace("><", ">\r\n\t<"),
}


@pytest.mark.parametrize("form", FORMS)
def test_read_imzml__of_any_xml(few, form):
    before = read_all(few)[0]
    text = FORMS[form](few.read_text())
    assert text != few.read_text()
    few.write_bytes(text if isinstance(text, bytes) else text.encode("latin-1"))
    after, _ = read_all(few)
    assert_same(after, before)
    assert after.assumed == ()


@pytest.mark.parametrize(
    "name", ["Example_Continuous", "Example_Processed", "Untreated_3_434_tiny"]
)
def test_scan__agrees_with_the_parser_on_real_files(name):
    data = (DATA / f"{name}.imzML").read_bytes()
    assert_same_scan(data)


def assert_same_scan(data):
    fast = imzml_scan.scan_spectra("x", data, is_plain=False)
    slow = imzml_scan.scan_spectra("x", make_plain("x", data), is_plain=True)
    for one, other in zip(fast[1:4], slow[1:4], strict=True):
        npt.assert_array_equal(one, other)
    elements = [[(e.tag, e.items()) for e in one.root.iter()] for one in (fast, slow)]
    assert elements[0][1:] == elements[1][1:]  # but for its xsi:schemaLocation


@settings(max_examples=60)
@given(datasets())
def test_scan__agrees_with_the_parser(tmp_path_factory, dataset):
    path = tmp_path_factory.mktemp("any") / "any.imzML"
    write_imzml(path, dataset[0], with_tic=True, **dataset[1])
    assert_same_scan(path.read_bytes())


@pytest.mark.parametrize("within", ["referenceableParamGroup", "cvParam"])
def test_read_imzml__of_groups_within_themselves(few, within):
    end = "</referenceableParamGroup>"
    refer = '<referenceableParamGroupRef ref="scan"/>'
    text = few.read_text().replace('"scan">', f'"scan"><{within} id="in">{refer}', 1)
    few.write_text(
        text.replace(end, f"</{within}>{end}", 3).replace(f"</{within}>{end}", end, 2)
    )
    assert len(read_all(few)[0].x) == 4


# Coordinates and sections


def place(text, axis, change):
    """Return XML in which the position on an axis, x, y or z, is changed."""
    number = {"x": "50", "y": "51", "z": "52"}[axis]
    pattern = rf'(IMS:10000{number}" name="position {axis}" value=)"([^"]*)"'
    return re.sub(pattern, lambda m: f'{m[1]}"{change(float(m[2]))}"', text)


SCALES = {  # of columns and rows, as a stage or an exporter counts them
    "from 0": (lambda v: f"{v - 1:.0f}", ""),
    "from -1": (lambda v: f"{v - 2:.0f}", ""),
    "from far": (lambda v: f"{v + 70000:.0f}", ""),
    "micrometres": (lambda v: f"{50 * v:.0f}", "50 in x and 50 in y"),
    "micrometres from anywhere": (lambda v: f"{12345 + 20 * v:.0f}", "20 in x and 20 "),
    "negative micrometres": (lambda v: f"{-1000 + 35 * v:.0f}", "35 in x and 35 in y"),
    "mirrored": (lambda v: f"{-50 * v:.0f}", "50 in x and 50 in y"),
    "nanometres": (lambda v: f"{1e5 * v:.0f}", "100000 in x"),
    "fractions of micrometres": (lambda v: f"{12.5 * v}", "12.5 in x and 12.5 in y"),
    "millimetres": (lambda v: f"{0.05 * v:.3f}", "0.05 in x and 0.05 in y"),
    "millimetres of floats": (lambda v: repr(0.1 * v), "0.1 in x and 0.1 in y"),
    "thirds, rounded": (lambda v: f"{100 * v / 3:.0f}", "33.3"),
    "exponents": (lambda v: f"{v * 50:.3e}", "50 in x and 50 in y"),
    "with spaces": (lambda v: f" {v:.0f}\t", ""),
    "with a fraction": (lambda v: f"{v:.1f}", ""),
    "with zeros": (lambda v: f"{v:03.0f}", ""),
    "of centres": (lambda v: f"{v - 0.5}", ""),
    "with a sign": (lambda v: f"+{v:.0f}", ""),
}


@pytest.mark.parametrize("scale", SCALES)
def test_read_imzml__of_coordinates(tmp_path, scale):
    path = tmp_path / "many.imzML"
    spectra = [(x, y, [100.0 + x], [1.0 + y]) for x in range(1, 7) for y in (1, 2, 4)]
    write_imzml(path, spectra)
    change, said = SCALES[scale]
    for axis in "xy":
        path.write_text(place(path.read_text(), axis, change))
    imzml, _ = read_all(path)
    sign = -1 if scale == "mirrored" else 1
    for found, k in ((imzml.x, 0), (imzml.y, 1)):
        expected = sign * np.array([spectrum[k] for spectrum in spectra])
        npt.assert_array_equal(found - found.min(), expected - expected.min())
    assert said in say(imzml)
    assert bool(said) == bool(imzml.assumed)


def test_read_imzml__of_coordinates_without_step(few):
    write_imzml(few, [(x, 1, [100.0], [1.0]) for x in range(1, 9)])
    few.write_text(place(few.read_text(), "x", lambda v: f"{v**2 / 3:.3f}"))
    with pytest.raises(BadInput, match=r"position x 0\.333: expected whole numbers"):
        read_all(few)


def test_read_imzml__of_an_image_nearly_empty(few):
    def write(most):
        places = np.random.default_rng(1).integers(0, most, (20, 2)).tolist()
        write_imzml(few, [(x, y, [100.0], [1.0]) for x, y in places])
        return read_imzml(str(few))

    assert write(8).assumed == ()
    assert "most without neighbours" in say(write(30))
    assert "20 spectra in an image of" in say(write(3000))
    with pytest.raises(BadInput, match="expected positions of pixels, not of the stag"):
        write(100_000)


def test_read_imzml__of_positions_that_jitter(few):
    xs = [v * 50 + (0, 4, -3)[v % 3] for v in range(1, 7)]
    write_imzml(few, [(x, y, [100.0], [1.0]) for x in xs for y in range(1, 5)])
    assert "24 spectra in an image of 247 x 4, most without" in say(
        read_imzml(str(few))
    )


def test_read_imzml__of_two_rois_far_apart(few):
    xs = [*range(1, 6), *range(101, 106)]
    write_imzml(few, [(x, y, [100.0], [1.0]) for x in xs for y in range(1, 5)])
    assert read_imzml(str(few)).assumed == ()


def add_name(path, accession, name):
    """Give the name of a parameter instead of its accession."""
    found = f'accession="{accession}" name=""'
    text = path.read_text()
    assert found in text
    path.write_text(text.replace(found, f'accession="" name="{name}"'))


def test_check_ibd__by_names_without_accession(few):
    add_name(few, "IMS:1000080", "universally unique identifier")
    add_name(few, "IMS:1000031", "Processed")
    add_name(few, "IMS:1000091", "ibd SHA-1")
    imzml, _ = read_all(few)
    assert imzml.mode == "processed"
    assert imzml.checksum[0] == "sha1"


def add_sections(path, sections):
    end = "</scan></scanList>"
    parts = path.read_text().split(end)
    for k, z in enumerate(sections):
        parts[k] += "" if z is None else make_param("IMS:1000052", "position z", z)
    path.write_text(end.join(parts))


def test_read_imzml__of_sections(few):
    add_sections(few, [1, 2, 2.0, 10])
    with pytest.raises(
        BadInput, match=r"3 sections \(position z 1, 2, 10\).*--section"
    ):
        read_all(few)
    with pytest.raises(BadInput, match=r"no section 3: .*--section .*: 1, 2, 10"):
        read_all(few, section=3)
    imzml, peaks = read_all(few, section=2)
    assert (imzml.x.tolist(), imzml.y.tolist()) == ([2, 2], [1, 2])
    assert peaks.mz.tolist() == [150, 250]
    assert imzml.counted == {"spectra of other sections were left out": 2}


@pytest.mark.parametrize(
    "sections", [[7] * 4, [None, 0, 0, None], [" 1 ", "1.0", 1, 1]]
)
def test_read_imzml__of_one_section(few, sections):
    add_sections(few, sections)
    assert len(read_all(few)[0].x) == 4


def test_read_imzml__of_no_section(few):
    with pytest.raises(BadInput, match=r"no section 1: .* position z: none"):
        read_all(few, section=1)


@pytest.mark.parametrize(
    ("count", "said"),
    [
        ("30", "4 of 30 spectra"),
        (" 4 ", ""),
        ("3", "4 of 3 spectra"),
        ("", ""),
        ("all", ""),
        ("-1", ""),
    ],
)
def test_read_imzml__of_more_or_fewer_spectra_than_counted(few, count, said):
    text = few.read_text()
    few.write_text(text.replace('List count="4"', f'List count="{count}"'))
    assert bool(said) == bool(say(read_all(few)[0]))
    assert said in say(read_all(few)[0])


# Types, lengths and compression


TERMS = {
    "f4": ("MS:1000521", "32-bit float"),
    "f8": ("MS:1000523", "64-bit float"),
    "i2": ("IMS:1100001", "16-bit integer"),
    "i4": ("MS:1000519", "32-bit integer"),
    "i8": ("MS:1000522", "64-bit integer"),
}
MANY = [
    (1, 1, [100.0, 200.0, 300.0], [10.0, 5.0, 3.0]),
    (2, 1, [150.0, 250.0], [4.0, 700.0]),
    (3, 1, [120.0, 130.0, 140.0, 150.0], [4.0, 5.0, 6.0, 7.0]),
]


@pytest.mark.parametrize("is_zlib", [False, True])
@pytest.mark.parametrize("stored", TERMS)
@pytest.mark.parametrize("accession", TERMS)
@pytest.mark.parametrize("array", ["mz", "intensity"])
def test_read_spectra__of_the_type_of_the_bytes(
    tmp_path, array, stored, accession, is_zlib
):
    path = tmp_path / "types.imzML"
    types = {"mz_type": "f8", "intensity_type": "f8"} | {f"{array}_type": stored}
    write_imzml(path, MANY, is_zlib=is_zlib, **types)
    _, peaks = read_all(path)
    code, name = TERMS[stored]
    kind = {"mz": "MS:1000514", "intensity": "MS:1000515"}[array]
    right = make_param(kind) + make_param(code, name)
    assert path.read_text().count(right) == 1
    wrong = make_param(kind) + make_param(TERMS[accession][0], name)
    path.write_text(path.read_text().replace(right, wrong))
    after, found = read_all(path)
    for one, other in zip(found, peaks, strict=True):
        npt.assert_array_equal(one, other)
    assert bool(after.assumed) == (accession != stored)
    if accession != stored:
        assert re.search(f"^type of (m/z|inten.*) {name} is assumed", say(after))


@pytest.mark.parametrize("name", ["", "64-bit float"])
def test_read_spectra__of_another_type_than_accession_and_name(few, name):
    write_imzml(few, MANY, mz_type="f4")
    _, peaks = read_all(few)
    text = few.read_text().replace("MS:1000521", "MS:1000523", 1)
    few.write_text(text.replace("32-bit float", name, 1))
    imzml, found = read_all(few)
    assert found.mz.tolist() == peaks.mz.tolist()
    assert "m/z 32-bit float is assumed" in say(imzml)
    assert "64-bit float, but lengths of others" in say(imzml)


@pytest.mark.parametrize("accession", ["MS:1000599", "", "64-bit", "PRIDE:0000523"])
def test_read_spectra__of_a_type_by_its_name(few, accession):
    few.write_text(few.read_text().replace("MS:1000523", accession, 1))
    imzml, peaks = read_all(few)
    assert peaks.mz.tolist() == [100, 200, 300, 150, 250, 120, 130, 140, 150]
    assert "type of m/z 64-bit float is assumed" in say(imzml)


LENGTHS = {
    "in values": lambda n: n // 8,
    "zero": lambda n: 0,
    "in bits": lambda n: 8 * n,
    "of all": lambda n: 1234,
    "of half": lambda n: n // 2,
    "with the UUID": lambda n: n + 16,
    "of a cut": lambda n: n - 1,
}


@pytest.mark.parametrize("what", LENGTHS)
def test_read_imzml__of_wrong_encoded_lengths(few, what):
    write_imzml(few, MANY, intensity_type="f8")
    before, peaks = read_all(few)
    text = re.sub(
        r'(encoded length" value=)"(\d+)"',
        lambda m: f'{m[1]}"{LENGTHS[what](int(m[2]))}"',
        few.read_text(),
    )
    few.write_text(text)
    imzml, found = read_all(few)
    assert_same(imzml, before)
    assert found.mz.tolist() == peaks.mz.tolist()
    assert len(imzml.assumed) == 2
    assert "encoded length of m/z of 8 bytes a value is assumed" in say(imzml)


def test_read_imzml__of_no_encoded_lengths(few):
    before, _ = read_all(few)
    few.write_text(few.read_text().replace('4" name="external enc', '9" name="enc'))
    imzml, _ = read_all(few)
    assert_same(imzml, before)
    assert "gives others or none" in say(imzml)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("said", ["", "MS:1000574", "MS:1000576"])
def test_read_imzml__compressed_as_the_bytes_are(few, packed, said):
    write_imzml(few, MANY, is_zlib=packed)
    before, peaks = read_all(few)
    right = make_param("MS:1000574" if packed else "MS:1000576")
    few.write_text(few.read_text().replace(right, make_param(said) if said else ""))
    imzml, found = read_all(few)
    assert_same(imzml, before)
    assert found.mz.tolist() == peaks.mz.tolist()
    assert bool(imzml.assumed) == ((said == "MS:1000574") != packed)


def test_read_imzml__of_offsets_with_a_sign(tmp_path, monkeypatch):
    path = tmp_path / "large.imzML"
    write_imzml(path, MANY)
    offsets = [2**31 - 10, 2**31 + 30, 2**31 + 90, 2**32 - 4, 2**32 + 5, 2**32 + 90]
    wrapped = iter((np.array(offsets) + 2**31) % 2**32 - 2**31)
    text = re.sub(
        r'(offset" value=)"\d+"', lambda m: f'{m[1]}"{next(wrapped)}"', path.read_text()
    )
    path.write_text(text)
    imzml = read_imzml(str(path))
    assert [*imzml.mz_offset, *imzml.intensity_offset] == offsets[::2] + offsets[1::2]
    assert "negative ones, as of 32 bits" in say(imzml)


def test_read_imzml__of_spectra_without_arrays(few):
    _, peaks = read_all(few)
    text = re.sub(
        r'(index="1">.*?)<binaryDataArrayList.*?List>', r"\1", few.read_text()
    )
    few.write_text(text)
    imzml, found = read_all(few)
    assert imzml.n_peaks.tolist() == [3, 0, 2, 4]
    assert found.mz.tolist() == peaks.mz.tolist()


SWAPS = {
    "y under x": ("IMS:1000051", "IMS:1000050"),
    "positions without accession": ("IMS:1000050", ""),
    "offset under length": ("IMS:1000102", "IMS:1000103"),
    "lengths of another number": ("IMS:1000103", "IMS:1000993"),
    "m/z under intensities": ("MS:1000514", "MS:1000515"),
    "intensities under another array": ("MS:1000515", "MS:1000516"),
}


@pytest.mark.parametrize("what", SWAPS)
def test_read_imzml__of_parameters_by_their_names(few, what):
    before, _ = read_all(few)
    text = few.read_text()
    for code, name in (("MS:1000514", "m/z array"), ("MS:1000515", "Intensity array")):
        text = text.replace(make_param(code), make_param(code, name))
    few.write_text(text)
    assert_same(read_all(few)[0], before)
    few.write_text(text.replace(*SWAPS[what]))
    imzml, _ = read_all(few)
    assert_same(imzml, before)
    assert say(imzml).startswith("meaning of parameters by their names is assumed")


def test_read_imzml__of_the_length_of_one_array(few):
    before, _ = read_all(few)
    text = re.sub(
        "(<binaryDataArray .*?Array>)(<binaryDataArray .*?Array>)",
        lambda m: m[1] + m[2].replace("IMS:1000103", "IMS:1000109"),
        few.read_text(),
    )
    few.write_text(text)
    assert_same(read_all(few)[0], before)


def test_read_imzml__of_a_third_array(few):
    before, _ = read_all(few)
    third = "<binaryDataArray>{}{}{}</binaryDataArray></binaryDataArrayList>".format(
        make_param("MS:1003006", "mean inverse reduced ion mobility array"),
        make_param("MS:1000519", "32-bit integer"),
        make_param("IMS:1000103", "external array length", 3),
    )
    few.write_text(few.read_text().replace("</binaryDataArrayList>", third))
    assert_same(read_all(few)[0], before)


def test_check_ibd__of_offsets_from_the_first_array(few):
    text = re.sub(
        r'(offset" value=)"(\d+)"',
        lambda m: f'{m[1]}"{int(m[2]) - 16}"',
        few.read_text(),
    )
    few.write_text(text)
    with pytest.raises(BadInput, match=r"spectrum 1 .* begins at byte 0 .* its UUID"):
        read_all(few)


def test_read_imzml__names_a_compression_it_does_not_read(few):
    numpress = make_param("MS:1002312", "MS-Numpress linear prediction compression")
    few.write_text(few.read_text().replace(make_param("MS:1000576"), numpress))
    with pytest.raises(
        BadInput, match=r"'MS-Numpress linear .* expected no compression"
    ):
        read_all(few)


# The UUID and the checksum

NUMBERS = {
    "a urn": "urn:uuid:{}",
    "a URN in capitals": "URN:UUID:{}",
    "braces": "{{{}}}",
    "parentheses": " ( {} ) ",
    "a word before": "UUID: {}",
    "a word for it": "guid={}",
    "a word right before": "uuid{}",
    "quotation marks": "&quot;{}&quot;",
    "nothing": "{}",
}


@pytest.mark.parametrize("dress", NUMBERS)
@pytest.mark.parametrize("form", [str, lambda u: u.hex, lambda u: str(u).upper()])
@pytest.mark.parametrize("order", ["bytes", "bytes_le"])
def test_check_ibd__of_the_uuid(tmp_path, dress, form, order):
    number = uuid.UUID("deadbeef-1234-4abc-8def-00112233aabb")
    path = tmp_path / "some.imzML"
    write_imzml(path, FEW, number=number, checksum=None)
    value = NUMBERS[dress].format(form(number))
    text = re.sub(
        r'(IMS:1000080" .*? value=)"[^"]*"', rf'\1"{value}"', path.read_text()
    )
    path.write_text(text)
    ibd = path.with_suffix(".ibd")
    ibd.write_bytes(getattr(number, order) + ibd.read_bytes()[16:])
    imzml, _ = read_all(path)
    assert imzml.uuid == number.hex
    assert imzml.assumed == ()


def test_read_imzml__of_content_elsewhere(few):
    before, _ = read_all(few)
    content = re.search("<fileContent>(.*?)</fileContent>", few.read_text())[1]
    empty = few.read_text().replace(content, "")
    for element in ("sourceFile", "contact"):
        place = f"<{element}>{content}</{element}></fileDescription>"
        few.write_text(empty.replace("</fileDescription>", place))
        assert_same(read_all(few)[0], before)


def test_check_ibd__of_a_uuid_in_the_form_of_structures(tmp_path):
    path = tmp_path / "some.imzML"
    write_imzml(path, FEW, checksum=None)
    value = "{0x00000000,0x0000,0x0000,{0x00,0x00,0x00,0x00,0x00,0x00,0x00,0x2a}}"
    path.write_text(path.read_text().replace(f"{{{NUMBER}}}", value))
    assert read_all(path)[0].uuid == NUMBER.hex


@pytest.mark.parametrize("value", ["", "none", "1234", "urn:uuid:", "0" * 31 + "2b"])
def test_check_ibd__of_no_uuid_or_another(few, value):
    few.write_text(few.read_text().replace(f"{{{NUMBER}}}", value))
    with pytest.raises(BadInput, match=r"was written with .*--no-check"):
        read_all(few)
    check_ibd(read_imzml(str(few)), uuid=False)


CHECKSUM_TERMS = {
    "md5": ("IMS:1000090", "ibd MD5"),
    "sha1": ("IMS:1000091", "ibd SHA-1"),
    "sha256": ("IMS:1000092", "ibd SHA-256"),
}
DRESSES = {
    "as it is": lambda d: d,
    "capitals and spaces": lambda d: f"  {d.upper()}\t",
    "pairs": lambda d: " ".join(re.findall("..", d)),
    "pairs with dashes": lambda d: d[:2] + "-" + "-".join(re.findall("..", d[2:])),
    "pairs with colons": lambda d: ":".join(re.findall("..", d.upper())),
    "eights": lambda d: " ".join(re.findall(".{8}", d)),
    "the algorithm before": lambda d: f"SHA-1: {d}",
    "the algorithm and =": lambda d: f"sha256={d}",
    "0x": lambda d: f"0x{d}",
    "the file after": lambda d: f"{d}  some.ibd",
    "the file of digits after": lambda d: f"{d} *abc-12.ibd",
    "quotation marks": lambda d: f"'{d}'",
}


def set_checksum(path, term, value):
    accession, name = CHECKSUM_TERMS[term]
    param = make_param(accession, name, value)
    path.write_text(
        path.read_text().replace("</fileContent>", param + "</fileContent>")
    )


@pytest.mark.parametrize("dress", DRESSES)
@pytest.mark.parametrize("term", CHECKSUM_TERMS)
@pytest.mark.parametrize("algorithm", [*CHECKSUM_TERMS, "sha384", "sha512"])
def test_check_ibd__of_a_checksum_in_any_dress(tmp_path, algorithm, term, dress):
    path = tmp_path / "some.imzML"
    write_imzml(path, FEW, checksum=None)
    ibd = path.with_suffix(".ibd")
    digits = hashlib.new(algorithm, ibd.read_bytes()).hexdigest()
    set_checksum(path, term, DRESSES[dress](digits))
    imzml, _ = read_all(path)
    assert imzml.checksum == (algorithm, digits)
    assert (f"checksum {algorithm} is assumed" in say(imzml)) == (algorithm != term)
    ibd.write_bytes(ibd.read_bytes()[:-1] + b"?")
    with pytest.raises(BadInput, match=f"damaged: its {algorithm} is .*--no-check"):
        read_all(path)


@pytest.mark.parametrize(
    "value", ["", " ", "n/a", "unknown", "0", "null", "abcdef0123"]
)
def test_read_imzml__of_a_checksum_that_is_none(tmp_path, value):
    path = tmp_path / "some.imzML"
    write_imzml(path, FEW, checksum=None)
    set_checksum(path, "sha1", value)
    imzml, _ = read_all(path)
    assert imzml.checksum is None
    assert "checksum of the .ibd file absent is assumed" in say(imzml)


def test_read_imzml__of_an_empty_checksum_beside_another(tmp_path):
    path = tmp_path / "some.imzML"
    write_imzml(path, FEW, checksum="sha1")
    found = read_imzml(str(path)).checksum
    path.write_text(
        path.read_text().replace(
            "<fileContent>", "<fileContent>" + make_param("IMS:1000090", "ibd MD5", "")
        )
    )
    imzml, _ = read_all(path)
    assert imzml.checksum == found
    assert imzml.assumed == ()


# The files


@pytest.mark.parametrize("ending", [".ibd", ".IBD", ".Ibd", ".iBd"])
@pytest.mark.parametrize("stem", ["x", "a.b.c", "12.5um", "x y", ".hidden"])
def test_read_imzml__finds_the_peaks(few, stem, ending):
    path = few.with_name(f"{stem}.imzML")
    shutil.move(few, path)
    shutil.move(few.with_suffix(".ibd"), few.with_name(stem + ending))
    few.with_name("X.csv").write_text("")
    imzml, _ = read_all(path)
    assert imzml.ibd_path == str(few.with_name(stem + ending))


def test_read_imzml__finds_the_peaks_of_a_name_in_other_case(few, monkeypatch):
    shutil.move(few, few.with_name("FEW.IMZML"))
    monkeypatch.chdir(few.parent)
    assert read_all("FEW.IMZML")[0].ibd_path == "few.ibd"
    shutil.copy("few.ibd", "fEW.ibd")
    with pytest.raises(BadInput, match=r"FEW\.ibd is missing"):
        read_all("FEW.IMZML")


PACKED = {
    "gunzip": gzip.compress,
    "bunzip2": bz2.compress,
    "unxz": lzma.compress,
    "unzip": lambda data: b"PK\x03\x04" + data,
    "unzstd": lambda data: b"\x28\xb5\x2f\xfd" + data,
}


@pytest.mark.parametrize("ending", ["few.imzML.gz", "few.imzML", "few.zip"])
@pytest.mark.parametrize("tool", PACKED)
def test_read_imzml__says_how_to_unpack(few, tool, ending):
    data = PACKED[tool](few.read_bytes())
    few.with_name(ending).write_bytes(data)
    message = f"{re.escape(ending)} is compressed: expected it unpacked, by {tool}"
    with pytest.raises(BadInput, match=message):
        read_imzml(str(few.with_name(ending)))


def test_read_imzml__of_the_peaks(few):
    with pytest.raises(BadInput, match=r"ibd holds the peaks: expected the \.imzML"):
        read_imzml(str(few.with_suffix(".ibd")))


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ('encoding="utf-8"', "line 11: malformed XML: 'utf-8' codec can't decode"),
        ('encoding="ascii"', "line 11: malformed XML: 'ascii' codec can't decode"),
        ("", "expected the encoding that the file declares, or else UTF-8"),
        ('encoding="hex"', "'hex' is not a text encoding"),
        ('encoding="klingon"', "unknown encoding: klingon"),
    ],
)
def test_read_imzml__of_another_encoding_than_declared(few, declaration, message):
    text = few.read_text().replace('encoding="ISO-8859-1"', declaration)
    few.write_bytes(text.replace("FTICR", "FTICR für alle").encode("latin-1"))
    with pytest.raises(BadInput, match=message) as error:
        read_all(few)
    assert "\n" not in str(error.value)


LAUGHS = "".join(
    f'<!ENTITY l{k + 1} "{f"&l{k};" * 10}">' for k in range(9)
)  # a billion times "lol"
EVIL = {
    "amplification": (f'<!ENTITY l0 "lol">{LAUGHS}', 'id="&l9;"'),
    "reference": ('<!ENTITY f SYSTEM "file:///etc/hostname">', 'id="&f;"'),
    "recursive": ('<!ENTITY a "&b;"><!ENTITY b "&a;">', 'id="&a;"'),
    "undefined": ("", 'id="&none;"'),
}


@pytest.mark.parametrize("what", EVIL)
def test_read_imzml__of_entities_that_harm(few, what):
    declared, used = EVIL[what]
    text = few.read_text().replace('id="s2"', used)
    few.write_text(text.replace("<mzML", f"<!DOCTYPE mzML [{declared}]>\n<mzML", 1))
    with pytest.raises(BadInput, match=rf"line \d+: malformed XML: .*{what}"):
        read_all(few)


def test_read_imzml__of_groups_that_multiply(few):
    def refer(name):
        return f'<referenceableParamGroupRef ref="{name}"/>'

    groups = "".join(
        f'<referenceableParamGroup id="g{k + 1}">{refer(f"g{k}") * 10}'
        "</referenceableParamGroup>"
        for k in range(50)
    )
    before, _ = read_all(few)
    text = few.read_text().replace(
        "<referenceableParamGroup ", groups + "<referenceableParamGroup ", 1
    )
    few.write_text(
        text.replace("<scanList", refer("g50") + "<scanList")
        .replace('id="scan"', 'id="g0"')
        .replace('ref="scan"', 'ref="g9"')
    )
    assert_same(read_all(few)[0], before)


# The program, on one small dataset that is written in many ways

CASE = Path(__file__).parent / "data/cases/imzml/coordinates-from-0"


@pytest.fixture
def case(tmp_path):
    """Return the XML of a dataset with four annotations, in a folder of its own."""
    for name in ("x.imzML", "x.ibd", "db.tsv"):
        shutil.copy(CASE / name, tmp_path)
    return tmp_path / "x.imzML"


def annotate(path, *options, out="out"):
    """Return exit code, annotations at 5 % FDR and what the manifest says."""
    out = path.parent / out
    inputs = (path, "--database", path.parent / "db.tsv", "--out", out)
    code = main(["run", *map(str, (*inputs, "--fdr", 0.05, *options))])
    if code:
        return code, None, None
    rows = (out / "annotations.tsv").read_text().splitlines()[1:]
    return code, rows, json.loads((out / "manifest.json").read_text())


def edit(change):
    return lambda path: path.write_text(change(path.read_text()))


def recode(encoding):
    def write(path):
        text = path.read_text().replace('"UTF-8"', f'"{encoding}"')
        path.write_bytes(text.replace('"mzArray"', '"größe"').encode(encoding))

    return write


SHA1 = 'accession="IMS:1000091" name="ibd SHA-1" value="12920d0'
OF_SEARCH = ("polarity", "instrument", "resolving power")
CASES = {
    "coordinates from 0": (lambda path: None, ""),
    "coordinates with spaces": (edit(lambda t: place(t, "x", " {:.0f} ".format)), ""),
    "coordinates in micrometres": (
        edit(lambda t: place(place(t, "x", lambda v: 50 * v), "y", lambda v: 50 * v)),
        "distance of neighbouring pixels 50 in x and 50 in y is assumed",
    ),
    "fewer spectra": (
        edit(lambda t: t.replace('count="20"', 'count="30"')),
        "20 of 30 spectra",
    ),
    "a checksum of another term": (
        edit(lambda t: t.replace(SHA1, SHA1.replace("91", "90"))),
        "algorithm of the checksum sha1 is assumed",
    ),
    "an empty checksum": (
        edit(lambda t: re.sub(SHA1 + '[^"]*"', SHA1[:-7] + '"', t)),
        "checksum of the .ibd file absent is assumed",
    ),
    "a checksum with spaces": (
        edit(lambda t: re.sub("12920d0[0-9a-f]*", lambda m: f" {m[0].upper()} ", t)),
        "",
    ),
    "ids with &": (
        edit(
            lambda t: t.replace('id="mzA', 'id="&amp;A').replace('f="mzA', 'f="&#38;A')
        ),
        "",
    ),
    "ids in Latin 1": (recode("ISO-8859-1"), ""),
    "UTF-16": (recode("UTF-16"), ""),
    "a prefix": (edit(put_prefix), ""),
    "a type under another accession": (
        edit(lambda t: t.replace("MS:1000523", "MS:1000521", 1)),
        "type of m/z 64-bit float is assumed",
    ),
    "a UUID as a URN": (
        edit(lambda t: t.replace('"12345678-', '"urn:uuid:12345678-')),
        "",
    ),
}


@pytest.fixture(scope="module")
def expected_rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    for name in ("x.imzML", "x.ibd", "db.tsv"):
        shutil.copy(CASE / name, folder)
    _, rows, _ = annotate(folder / "x.imzML")
    assert [row.split("\t")[0] for row in rows]
    assert len(rows) == 4
    return rows


@pytest.mark.parametrize("name", CASES)
def test_run__of_imzml_as_exporters_write_it(case, caplog, expected_rows, name):
    change, said = CASES[name]
    change(case)
    code, rows, manifest = annotate(case)
    assert (code, rows) == (0, expected_rows)
    sentences = [str(Assumption(**one)) for one in manifest["assumed"]]
    ours = [text for text in sentences if not text.startswith(OF_SEARCH)]
    assert said in "; ".join(ours)
    assert bool(said) == bool(ours)
    assert set(sentences) <= {record.getMessage() for record in caplog.records}
    page = (case.parent / "out/report.html").read_text()
    assert said[1:] in html.unescape(page)


def test_run__of_a_section(case, expected_rows, capsys):
    text = case.read_text()
    both = re.sub(
        "</scan>", lambda m: make_param("IMS:1000052", "position z", 1) + m[0], text
    )
    spectra = re.findall("<spectrum .*?</spectrum>", both)
    others = "".join(spectra).replace('position z" value="1"', 'position z" value="2"')
    both = both.replace("</spectrumList>", others + "</spectrumList>")
    case.write_text(both.replace('count="20"', 'count="40"'))
    assert annotate(case)[0] == 2
    assert (
        "2 sections (position z 1, 2): expected one, or --section"
        in capsys.readouterr().err
    )
    assert annotate(case, "--section", "3", out="none")[0] == 2
    _, rows, manifest = annotate(case, "--section", "2", out="section")
    assert rows == expected_rows
    assert manifest["counted"]["spectra of other sections were left out"] == 20


def test_run__without_checks(case, expected_rows, capsys):
    case.write_text(
        case.read_text().replace("12345678-", "12345679-").replace("12920d0", "12920d1")
    )
    assert annotate(case)[0] == 2
    assert "has the UUID 123456789abc" in (said := capsys.readouterr().err)
    assert "--no-check" in said
    _, rows, manifest = annotate(case, "--no-check", out="unchecked")
    assert rows == expected_rows
    assert "--no-check" in str(manifest["assumed"])


def test_run__of_what_is_compressed(case, capsys):
    packed = case.with_name("x.imzML.gz")
    packed.write_bytes(gzip.compress(case.read_bytes()))
    assert annotate(packed)[0] == 2
    assert capsys.readouterr().err.count("\n") == 1


# Slices


@pytest.mark.parametrize(
    "form", ["UTF-16", "a prefix", "ids with &", "values in groups", "entities"]
)
def test_slices__of_any_xml(few, form):
    expected = get_slice(few)
    text = FORMS[form](few.read_text())
    few.write_bytes(text if isinstance(text, bytes) else text.encode("latin-1"))
    for found, (x, y, mz, intensity) in zip(get_slice(few), expected, strict=True):
        assert found[:2] == (x, y)
        npt.assert_array_equal(found[2], mz)
        npt.assert_array_equal(found[3], intensity)


def get_slice(path):
    co = CloudObject.from_path(ImzML, path)
    co.preprocess(force=True)
    (part,) = co.partition(partition_num_spectra, num_chunks=1)
    return part.get()


def test_slices__of_coordinates_as_in_the_file(few):
    few.write_text(place(few.read_text(), "x", lambda v: f"{50 * v - 100:.0f}"))
    assert [spectrum[0] for spectrum in get_slice(few)] == [-50, 0, 0, -50]
    few.write_text(place(few.read_text(), "x", lambda v: f"{v + 0.5}"))
    with pytest.raises(BadInput, match=r"position x -49\.5: expected whole numbers"):
        get_slice(few)


def test_slices__of_the_type_of_the_bytes(few):
    write_imzml(few, MANY, mz_type="f4")
    few.write_text(few.read_text().replace("MS:1000521", "MS:1000523", 1))
    few.write_text(few.read_text().replace(f"{{{NUMBER}}}", f"urn:uuid:{NUMBER}"))
    shutil.move(few.with_suffix(".ibd"), few.with_suffix(".Ibd"))
    assert [s[2].tolist() for s in get_slice(few)] == [mz for _, _, mz, _ in MANY]


def test_slices__of_what_is_compressed(few):
    few.write_bytes(gzip.compress(few.read_bytes()))
    with pytest.raises(BadInput, match="expected it unpacked, by gunzip"):
        get_slice(few)
