from .atomic_files import ATOMIC_LOCAL, AtomicLocalBackend
from .checkpoint_files import (find_checkpoints, find_newest_whole,
                               require_whole)
from .command_line import CFG_OPTIONS, exit_on, make_parser, printable
from .configs import load_config, load_model_config, require_share, stock_tool
from .model import evaluating, unwrap
from .plain_config import parse_plain_config
from .runner import (is_logged, leave_process_group, left_out_of_log,
                     log_scalars, monitoring_seconds, note_monitoring_seconds,
                     prepare_cpu_distributed, quiet_log)
from .safe_loading import (Nothing, load_without_objects, refuse_objects,
                           require_plain)
from .sampling import evenly_spread, fixed_seed, global_seed, mix_seed

__all__ = [
    'ATOMIC_LOCAL', 'CFG_OPTIONS', 'AtomicLocalBackend', 'Nothing',
    'evaluating', 'evenly_spread', 'exit_on', 'find_checkpoints',
    'find_newest_whole', 'fixed_seed', 'global_seed', 'is_logged',
    'leave_process_group', 'left_out_of_log', 'load_config',
    'load_model_config', 'load_without_objects', 'log_scalars', 'make_parser',
    'mix_seed', 'monitoring_seconds', 'note_monitoring_seconds',
    'parse_plain_config', 'prepare_cpu_distributed', 'printable', 'quiet_log',
    'refuse_objects', 'require_plain', 'require_share', 'require_whole',
    'stock_tool', 'unwrap'
]
