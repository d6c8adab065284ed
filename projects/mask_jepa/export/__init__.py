from .convert import (BRANCHES, PARTS, TARGET_LIBRARIES, Export,
                      export_weights, left_out_reasons)
from .coverage import ModuleCoverage, coverage_report
from .files import load_checkpoint, parts_left_out, save_export

__all__ = [
    'BRANCHES', 'PARTS', 'TARGET_LIBRARIES', 'Export', 'ModuleCoverage',
    'coverage_report', 'export_weights', 'left_out_reasons', 'load_checkpoint',
    'parts_left_out', 'save_export'
]
