import base64
import io
import os.path as osp
from typing import Dict, List

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image
from plotly.offline import get_plotlyjs

from ..utils import AtomicLocalBackend, evenly_spread
from ..version import __version__
from .charts import draw_charts
from .run_records import RunRecords
from .summary import probe_scores, throughput_facts

TEMPLATES = osp.join(osp.dirname(osp.abspath(__file__)), 'templates')
MAX_PICTURES = 40  # of each name, to keep the page below some ten megabytes
LARGE_PICTURE = 300_000  # bytes; about ten seconds of a slow connection
WEBP_QUALITY = 85


def write_report(run: RunRecords, path: str) -> None:
    """Write the page, whole or not at all.

    It needs no other file and makes no request.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True)
    environment.filters['number'] = _format_number
    page = environment.get_template('page.html.j2').render(
        run=run,
        scores=probe_scores(run.validation),
        facts=throughput_facts(run),
        charts=draw_charts(run),
        albums=_embed_albums(run.pictures),
        version=__version__,
        plotly=get_plotlyjs())
    AtomicLocalBackend().put_text(page, path)


def embed_picture(path: str) -> str:
    """Turn a PNG file into a ``data:`` URL; '' if it is no whole picture.

    A large one is encoded anew as WebP, with as many pixels as before.
    """
    with open(path, 'rb') as file:
        content, kind = file.read(), 'png'
    try:
        with Image.open(io.BytesIO(content), formats=['PNG']) as picture:
            picture.load()
            if len(content) > LARGE_PICTURE:
                encoded = io.BytesIO()
                picture.convert('RGB').save(
                    encoded, 'WEBP', quality=WEBP_QUALITY)
                content, kind = encoded.getvalue(), 'webp'
    except Exception:  # Pillow raises nearly every type on broken bytes.
        return ''
    return f'data:image/{kind};base64,{base64.b64encode(content).decode()}'


def _embed_albums(pictures: Dict[str, Dict[int, str]]) -> Dict[str, List]:
    """Embed a limited number of pictures of each name, with iterations."""
    albums = {}
    for name, paths in pictures.items():
        iterations = list(paths)
        frames = [
            dict(
                iteration=iterations[index],
                url=embed_picture(paths[iterations[index]]))
            for index in evenly_spread(len(iterations), MAX_PICTURES)
        ]
        frames = [frame for frame in frames if frame['url']]
        if frames:
            albums[name] = frames
    return albums


def _format_number(value: object) -> str:
    """Write a number with four significant digits, all else as it is."""
    if value is None:
        return '–'
    return f'{value:.4g}' if isinstance(value, float) else str(value)
