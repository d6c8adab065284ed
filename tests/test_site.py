"""The documents make a site, in which each link and heading is found."""
import re
import subprocess
import sys

import pytest


@pytest.fixture(scope='module')
def site(root, tmp_path_factory):
    pytest.importorskip('mkdocs', reason='mkdocs is not installed')
    pytest.importorskip('mkdocstrings', reason='mkdocstrings is missing')
    folder = tmp_path_factory.mktemp('site')
    # Warnings, as of a link that leads nowhere, are errors.
    run = subprocess.run([
        sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir',
        str(folder)
    ],
                         cwd=root,
                         capture_output=True,
                         text=True)
    assert run.returncode == 0, run.stderr
    assert 'not included in the "nav"' not in run.stderr, run.stderr
    return folder


def test_readme_leads_to_pages_and_files(root, site):
    page = (site / 'index.html').read_text()
    assert 'href="faq/"' in page and 'href="CHANGELOG/"' in page
    copied = site / 'source/configs/mask_jepa_r50_coco_paper.py.txt'
    assert copied.read_text() == (
        root / 'configs/mask_jepa_r50_coco_paper.py').read_text()
    assert f'href="../{copied.relative_to(site)}"' in (
        site / 'method/index.html').read_text()


def test_headings_are_named_as_on_github(site):
    assert 'id="other-settings-on---resume"' in (
        site / 'reliability/index.html').read_text()


def test_functions_are_described(site):
    page = (site / 'python/index.html').read_text()
    for name in ('pretrain', 'encode', 'export'):
        assert f'id="mask_jepa.apis.{name}.{name}"' in page
    assert 'max_passes' in page and ':func:' not in page


def test_pages_need_no_network(site):
    for page in site.rglob('*.html'):
        loaded = re.findall(r'(?:<link[^>]*href|src)="(https?:)?//',
                            page.read_text())
        assert not loaded, page
