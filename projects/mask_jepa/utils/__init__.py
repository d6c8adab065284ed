from .atomic_backend import ATOMIC_LOCAL, AtomicLocalBackend
from .cpu_distributed import prepare_cpu_distributed
from .evaluating import evaluating
from .evenly_spread import evenly_spread
from .monitoring_cost import monitoring_seconds, note_monitoring_seconds
from .quiet import quiet_log
from .seed import fixed_seed, mix_seed
from .unwrap import unwrap

__all__ = [
    'ATOMIC_LOCAL', 'AtomicLocalBackend', 'evaluating', 'evenly_spread',
    'fixed_seed', 'mix_seed', 'monitoring_seconds',
    'note_monitoring_seconds', 'prepare_cpu_distributed', 'quiet_log',
    'unwrap'
]
