from .convert import (BRANCHES, TARGET_LIBRARIES, Export, export_weights,
                      left_out_reasons)
from .coverage import ModuleCoverage, coverage_report
from .files import load_checkpoint, save_export

__all__ = [
    'BRANCHES', 'TARGET_LIBRARIES', 'Export', 'ModuleCoverage',
    'coverage_report', 'export_weights', 'left_out_reasons', 'load_checkpoint',
    'save_export'
]
