from .convert import (BRANCHES, HEAD_PREFIXES, PARTS, SOURCES,
                      TARGET_LIBRARIES, Export, export_weights, import_weights,
                      is_imported, left_out_reasons)
from .files import (ModuleCoverage, check_out, coverage_report,
                    explain_shortfall, load_checkpoint, move_named_by_content,
                    parts_left_out, save_export)
from .foreign_files import load_foreign_weights
from .frameworks import BACKBONE_ALONE, FRAMEWORKS, Written
from .model_card import write_model_card
from .pretraining_config import load_pretraining_config, pretraining_config

__all__ = [
    'BACKBONE_ALONE', 'BRANCHES', 'FRAMEWORKS', 'HEAD_PREFIXES', 'PARTS',
    'SOURCES', 'TARGET_LIBRARIES', 'Export', 'ModuleCoverage', 'Written',
    'check_out', 'coverage_report', 'explain_shortfall', 'export_weights',
    'import_weights', 'is_imported', 'left_out_reasons', 'load_checkpoint',
    'load_foreign_weights', 'load_pretraining_config', 'move_named_by_content',
    'parts_left_out', 'pretraining_config', 'save_export', 'write_model_card'
]
