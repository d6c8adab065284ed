from .atomic_backend import ATOMIC_LOCAL, AtomicLocalBackend
from .cpu_distributed import leave_process_group, prepare_cpu_distributed
from .evaluating import evaluating
from .evenly_spread import evenly_spread
from .load_config import load_config
from .load_model_config import load_model_config
from .monitoring_cost import monitoring_seconds, note_monitoring_seconds
from .quiet import left_out_of_log, quiet_log
from .seed import fixed_seed, global_seed, mix_seed
from .stock_tool import stock_tool
from .unwrap import unwrap

__all__ = [
    'ATOMIC_LOCAL', 'AtomicLocalBackend', 'evaluating', 'evenly_spread',
    'fixed_seed', 'global_seed', 'leave_process_group', 'left_out_of_log',
    'load_config', 'load_model_config', 'mix_seed', 'monitoring_seconds',
    'note_monitoring_seconds', 'prepare_cpu_distributed', 'quiet_log',
    'stock_tool', 'unwrap'
]
