"""How templates are opened: text is cleaned, errors are said, and compiling is kept."""

import subprocess
import sys

import jinja2
import pytest

from hpc_connector.report.page import render_page, save_page
from hpc_connector.report.templates import KeptTemplates, open_templates

SHARED = "hpc_connector.report"


def render(text, **values):
    return open_templates(SHARED).from_string(text).render(values)


def test_open_templates__escape_and_clean_text():
    said = render("{{ x }}|{{ x|shorten(3) }}", x="<\u202e\x07>&'\"")
    assert said == "&lt;\ufffd\ufffd&gt;&amp;&#39;&#34;|&lt;…&#34;"


def test_open_templates__give_parts_as_they_are():
    assert "@media print {" in render('{{ read_part("common.css") }}')
    with pytest.raises(jinja2.TemplateNotFound):
        render('{{ read_part("none.css") }}')


def test_open_templates__let_json_close_nothing():
    data = {"b": "</script><!-- & -->\u2028'", "a": [None, 1.5]}
    said = render("{{ data|tojson }}", data=data)
    assert said.startswith('{"b":"')
    assert not set("<>&'\u2028 ") & set(said.replace("!-- ", "").replace(" --", ""))
    with pytest.raises(ValueError, match="not JSON compliant"):
        render("{{ data|tojson }}", data=float("nan"))


def test_open_templates__of_a_name_without_value():
    with pytest.raises(jinja2.UndefinedError, match="'name' is undefined"):
        render("{{ name }}")


def test_open_templates__of_a_package_that_has_none_finds_the_shared_ones():
    assert render_page("hpc_connector", "base.html").endswith("</html>")


def test_kept_templates__are_compiled_once(tmp_path, monkeypatch):
    def make():
        kept = KeptTemplates(str(tmp_path / "kept"))
        loader = jinja2.DictLoader({"a.html": "<p>{{ x }}</p>"})
        return jinja2.Environment(loader=loader, bytecode_cache=kept)

    assert make().get_template("a.html").render(x=1) == "<p>1</p>"
    assert len(list((tmp_path / "kept").iterdir())) == 1
    monkeypatch.setattr(jinja2.Environment, "compile", None)
    assert make().get_template("a.html").render(x=2) == "<p>2</p>"


def test_kept_templates__of_another_jinja2_are_compiled_again(monkeypatch):
    kept = KeptTemplates("none")
    before = kept.get_source_checksum("text")
    monkeypatch.setattr(jinja2, "__version__", "4")
    assert kept.get_source_checksum("text") != before


def test_kept_templates__without_room_are_not_kept(tmp_path):
    kept = KeptTemplates(str(tmp_path / "no" / "folder"))
    loader = jinja2.DictLoader({"a.html": "{{ x }}"})
    templates = jinja2.Environment(loader=loader, bytecode_cache=kept)
    assert templates.get_template("a.html").render(x=1) == "1"
    assert not list(tmp_path.iterdir())


def test_kept_templates__that_are_damaged_are_compiled_again(tmp_path):
    for damage in (b"", b"j2", None):
        kept = KeptTemplates(str(tmp_path))
        for path in tmp_path.iterdir():
            whole = path.read_bytes()
            path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
        loader = jinja2.DictLoader({"a.html": "{{ x }}"})
        templates = jinja2.Environment(loader=loader, bytecode_cache=kept)
        assert templates.get_template("a.html").render(x=1) == "1"


def test_save_page__writes_half_a_surrogate_pair_as_its_number(tmp_path):
    path = save_page(tmp_path / "page.html", "é\ud800")
    assert path.read_bytes() == b"\xc3\xa9&#55296;"
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.parametrize("program", ["mdr_epistasis", "metabolite_annotation"])
def test_report__imports_jinja2_where_a_page_is_made(program):
    """Each rank imports the run; the root alone makes a page."""
    code = f"import sys, {program}.report.page; print('jinja2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
