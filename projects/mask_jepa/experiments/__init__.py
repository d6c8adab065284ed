"""Experiments: arms compared over tasks, numbers of labels and seeds.

The rest of the package neither needs nor imports it.
"""
from .choice import choose_images
from .comparison import group_scores, make_tables
from .data_files import SUBSET_ENDING, data_root, digest_files
from .experiment import Experiment, read_experiment
from .results import find_results, require_own_results, write_results
from .run_store import RunStore
from .runs import Finetuning, Pretraining, digest
from .workers import Workers

__all__ = [
    'Experiment', 'Finetuning', 'Pretraining', 'RunStore', 'SUBSET_ENDING',
    'Workers', 'choose_images', 'data_root', 'digest', 'digest_files',
    'find_results', 'group_scores', 'make_tables', 'read_experiment',
    'require_own_results', 'write_results'
]
