import os.path as osp
from typing import Dict, List

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from mmengine.fileio import get_file_backend
from plotly.offline import get_plotlyjs

from ..utils import ATOMIC_LOCAL, evenly_spread
from ..version import __version__
from .charts import draw_charts
from .missing import MISSING
from .pictures import embed_picture
from .probe import probe_scores
from .run_records import RunRecords
from .throughput import throughput_facts

TEMPLATES = osp.join(osp.dirname(osp.abspath(__file__)), 'templates')
MAX_PICTURES = 40  # of each name, to keep the page below some ten megabytes


def write_report(run: RunRecords, path: str) -> None:
    """Write the page, whole or not at all.

    Args:
        run (RunRecords): What to show.
        path (str): HTML file.
    """
    backend = get_file_backend(backend_args=dict(backend=ATOMIC_LOCAL))
    backend.put_text(render_page(run), path)


def render_page(run: RunRecords) -> str:
    """Lay out the page.

    Args:
        run (RunRecords): What to show.

    Returns:
        str: HTML that needs no other file and makes no request.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True)
    environment.filters['number'] = format_number
    return environment.get_template('page.html.j2').render(
        run=run,
        scores=probe_scores(run.validation),
        facts=throughput_facts(run),
        charts=draw_charts(run),
        albums=embed_albums(run.pictures),
        missing=MISSING,
        version=__version__,
        plotly=get_plotlyjs())


def embed_albums(pictures: Dict[str, Dict[int, str]]) -> Dict[str, List]:
    """Embed the pictures, a limited number of each name.

    Args:
        pictures (dict[str, dict[int, str]]): Paths by name and iteration.

    Returns:
        dict[str, list[dict]]: Iteration and URL of the pictures by name.
    """
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


def format_number(value: object) -> str:
    """Write a number for readers.

    Args:
        value (object): From a file.

    Returns:
        str: With four significant digits at most; other values as they are.
    """
    if value is None:
        return '–'
    return f'{value:.4g}' if isinstance(value, float) else str(value)
