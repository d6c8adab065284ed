from .atomic_files import ATOMIC_LOCAL, AtomicLocalBackend, remove_pieces
from .checkpoint_files import (find_checkpoints, find_newest_whole,
                               find_non_finite, find_spoilt_part,
                               require_finite, require_whole)
from .command_line import CFG_OPTIONS, DATA, exit_on, make_parser, printable
from .configs import load_config, load_model_config, require_share, stock_tool
from .errors import RunError, SettingError, reraised_as
from .model import evaluating, unwrap
from .parent import end_with_parent
from .plain_config import parse_plain_config
from .processes import (collective_timeout, leave_process_group,
                        naming_absent_ranks, prepare_cpu_distributed)
from .runner import (is_logged, left_out_of_log, log_scalars,
                     monitoring_seconds, note_monitoring_seconds, quiet_log)
from .safe_loading import (Nothing, load_without_objects, refuse_objects,
                           refusing_objects, require_plain)
from .sampling import evenly_spread, fixed_seed, global_seed, mix_seed
from .work_dir import explaining_full_disk, locked, prepare_work_dir

__all__ = [
    'ATOMIC_LOCAL', 'CFG_OPTIONS', 'DATA', 'AtomicLocalBackend', 'Nothing',
    'RunError', 'SettingError', 'collective_timeout', 'end_with_parent',
    'evaluating', 'evenly_spread', 'exit_on', 'explaining_full_disk',
    'find_checkpoints', 'find_newest_whole', 'find_non_finite',
    'find_spoilt_part', 'fixed_seed', 'global_seed', 'is_logged',
    'leave_process_group', 'left_out_of_log', 'load_config',
    'load_model_config', 'load_without_objects', 'locked', 'log_scalars',
    'make_parser', 'mix_seed', 'monitoring_seconds', 'naming_absent_ranks',
    'note_monitoring_seconds', 'parse_plain_config', 'prepare_cpu_distributed',
    'prepare_work_dir', 'printable', 'quiet_log', 'refuse_objects',
    'refusing_objects', 'remove_pieces', 'reraised_as', 'require_finite',
    'require_plain', 'require_share', 'require_whole', 'stock_tool', 'unwrap'
]
