"""Imaging datasets made for tests: a writer of imzML, and ions in smooth patterns."""

import hashlib
import uuid
import zlib

import numpy as np

from hpc_connector.learner.annotation.ions import Chemistry, make_ions
from hpc_connector.learner.annotation.patterns import Resolution, calculate_centroids

TYPES = {
    "f4": ("MS:1000521", "32-bit float"),
    "f8": ("MS:1000523", "64-bit float"),
    "i1": ("IMS:1100000", "8-bit integer"),
    "i2": ("IMS:1100001", "16-bit integer"),
    "i4": ("MS:1000519", "32-bit integer"),
    "i8": ("MS:1000522", "64-bit integer"),
}
MODES = {"continuous": "IMS:1000030", "processed": "IMS:1000031"}
CHECKSUMS = {"md5": "IMS:1000090", "sha1": "IMS:1000091", "sha256": "IMS:1000092"}
NUMBER = uuid.UUID(int=42)
POLARITIES = {"positive": ("MS:1000130",), "negative": ("MS:1000129",), "": ()}


def make_param(accession, name="", value=""):
    """Return a parameter of the controlled vocabularies."""
    ontology = accession.split(":")[0]
    return (
        f'<cvParam cvRef="{ontology}" accession="{accession}" name="{name}" '
        f'value="{value}"/>'
    )


def write_imzml(
    path,
    spectra,
    *,
    mode="processed",
    mz_type="f8",
    intensity_type="f4",
    is_zlib=False,
    polarity="positive",
    analyzer="FTICR",
    checksum="sha1",
    with_tic=False,
    number=NUMBER,
    inline=False,
):
    """Write a dataset beside `path`: spectra are x, y, m/z and intensities.

    In continuous mode all have the m/z of the first. With `inline`, parameters stand in
    every spectrum instead of in groups.
    """
    ibd, places = bytearray(number.bytes), []

    def add(values, dtype):
        array = np.asarray(values, f"<{dtype}").tobytes()
        stored = zlib.compress(array) if is_zlib else array
        ibd.extend(stored)
        return len(ibd) - len(stored), len(values), len(stored)

    for _, _, mz, intensity in spectra:
        is_shared = mode == "continuous" and places
        mz_place = places[0][0] if is_shared else add(mz, mz_type)
        places.append((mz_place, add(intensity, intensity_type)))
    path.with_suffix(".ibd").write_bytes(ibd)

    packed = make_param("MS:1000574" if is_zlib else "MS:1000576")
    arrays = {
        "mz": make_param("MS:1000514") + make_param(*TYPES[mz_type]) + packed,
        "intensity": (
            make_param("MS:1000515") + make_param(*TYPES[intensity_type]) + packed
        ),
    }
    scan = "".join(make_param(accession) for accession in POLARITIES[polarity])
    groups = arrays | {"scan": scan}

    def refer(name):
        reference = f'<referenceableParamGroupRef ref="{name}"/>'
        return groups[name] if inline else reference

    def make_spectrum(k, x, y, intensity):
        total = make_param("MS:1000285", "", np.sum(intensity)) if with_tic else ""
        parts = [
            f'<spectrum id="s{k}" defaultArrayLength="0" index="{k}">{refer("scan")}',
            f'{total}<scanList count="1"><scan>',
            make_param("IMS:1000050", "position x", x),
            make_param("IMS:1000051", "position y", y),
            '</scan></scanList><binaryDataArrayList count="2">',
        ]
        for name, (offset, length, n_bytes) in zip(arrays, places[k], strict=True):
            parts += [
                f'<binaryDataArray encodedLength="0">{refer(name)}',
                make_param("IMS:1000103", "external array length", length),
                make_param("IMS:1000104", "external encoded length", n_bytes),
                make_param("IMS:1000102", "external offset", offset),
                "<binary/></binaryDataArray>",
            ]
        return "".join([*parts, "</binaryDataArrayList></spectrum>"])

    content = make_param(MODES[mode]) + make_param("IMS:1000080", "", f"{{{number}}}")
    if checksum:
        digest = hashlib.new(checksum, ibd).hexdigest()
        content += make_param(CHECKSUMS[checksum], "", digest.upper())
    lines = [
        '<?xml version="1.0" encoding="ISO-8859-1"?>',
        '<mzML xmlns="http://psi.hupo.org/ms/mzml" version="1.1">',
        f"<fileDescription><fileContent>{content}</fileContent></fileDescription>",
        f'<referenceableParamGroupList count="{len(groups)}">',
        *(
            f'<referenceableParamGroup id="{name}">{params}</referenceableParamGroup>'
            for name, params in groups.items()
        ),
        "</referenceableParamGroupList>",
        '<scanSettingsList count="1"><scanSettings id="s"/></scanSettingsList>',
        '<instrumentConfigurationList count="1"><instrumentConfiguration id="IC1">',
        make_param("MS:1000031", analyzer),
        "</instrumentConfiguration></instrumentConfigurationList>",
        f'<run id="r"><spectrumList count="{len(spectra)}">',
        *(make_spectrum(k, x, y, i) for k, (x, y, _, i) in enumerate(spectra)),
        "</spectrumList></run></mzML>",
    ]
    path.write_text("\n".join(lines) + "\n")


def simulate_spectra(
    places, patterns, *, n_noise=300, mz_range=(150, 1000), seed=0, mz_type=np.float64
):
    """Return spectra at some places, with ions in smooth patterns and noise between.

    Parameters
    ----------
    places
        Column and row of each pixel, shape (pixels, 2), from 1.
    patterns
        m/z and intensities of the isotope peaks of each ion.
    """
    rng = np.random.default_rng(seed)
    unit = (places - places.min(axis=0)) / max(1, np.ptp(places, axis=0).max())
    waves = rng.uniform(-9, 9, (len(patterns), 2))
    spectra = []
    for (x, y), here in zip(places.tolist(), unit, strict=True):
        level = np.clip(np.sin(waves @ here) + 0.3, 0, None)
        mz = rng.uniform(*mz_range, n_noise)
        intensity = rng.lognormal(5, 1, n_noise)
        for k in np.flatnonzero(level > 0.05):
            peaks, heights = patterns[k]
            there = peaks > 0
            mz = np.append(mz, peaks[there] * (1 + rng.normal(0, 5e-7, there.sum())))
            noise = rng.lognormal(0, 0.1, there.sum())
            intensity = np.append(intensity, 300 * level[k] * heights[there] * noise)
        order = np.argsort(mz)
        spectra.append((x, y, mz[order].astype(mz_type), intensity[order]))
    return spectra


def plant_lipids(folder):
    """Write a small dataset with known ions, and its database; return both paths."""
    formulas = [f"C{n}H{2 * n - k}NO{k}P" for n in range(14, 34) for k in range(4, 8)]
    rows = [f"{k}\tlipid {k}\t{f}\n" for k, f in enumerate(formulas)]
    (folder / "lipids.tsv").write_text("id\tname\tformula\n" + "".join(rows))
    ions, (found,) = make_ions([formulas], Chemistry(("+H", "+Na", "+K")))
    mz, heights = calculate_centroids(ions, Resolution("FTICR", 0.000619, 1))
    planted = found.target[::4, 0]
    places = np.stack(np.meshgrid(np.arange(1, 19), np.arange(1, 16)), 2).reshape(-1, 2)
    patterns = [(mz[ion], heights[ion]) for ion in planted]
    spectra = simulate_spectra(places, patterns)
    write_imzml(folder / "small.imzML", spectra)
    return folder / "small.imzML", folder / "lipids.tsv"
