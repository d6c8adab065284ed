"""Hooks of mkdocs, by which one text serves GitHub and the site.

Pages in the root of the repository become pages of the site. A file outside
of docs/ to which a page links goes with the site, so that no link needs an
address of the repository. Headings have the anchors that GitHub gives them.
"""
import os.path as osp
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
ROOT_PAGES = {
    'README.md': 'index.md',
    'CHANGELOG.md': 'CHANGELOG.md',
    'CONTRIBUTING.md': 'CONTRIBUTING.md'
}


def anchor(heading: str, separator: str) -> str:
    """Name a heading as GitHub does."""
    return re.sub(r'[^\w -]', '', heading.lower()).replace(' ', separator)


def on_config(config: MkDocsConfig) -> None:
    """Choose the names of headings."""
    config.mdx_configs['toc']['slugify'] = anchor


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages in the root of the repository."""
    for name, page in ROOT_PAGES.items():
        files.append(
            File.generated(config, page, abs_src_path=str(ROOT / name)))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig,
                     files: Files) -> str:
    """Let links lead to where their files are in the site."""
    source = osp.dirname(page.file.abs_src_path)

    def in_site(match: re.Match) -> str:
        path = osp.relpath(osp.join(source, match[1]), ROOT)
        if not (ROOT / path).is_file():
            return match[0]
        here = ROOT_PAGES.get(path, path.removeprefix('docs/'))
        if here == path and path not in ROOT_PAGES:
            # Browsers show text, and only download programs.
            here = f'source/{path}' + '.txt' * path.endswith(('.py', '.cff'))
            if not files.get_file_from_path(here):
                files.append(
                    File.generated(
                        config, here, abs_src_path=str(ROOT / path)))
        start = osp.dirname(page.file.src_uri)
        return '](' + osp.relpath(here, start or '.')

    return re.sub(r'\]\(([^)#\s]+)', in_site, markdown)
