from .atomic_backend import ATOMIC_LOCAL, AtomicLocalBackend
from .cpu_distributed import prepare_cpu_distributed
from .seed import fixed_seed, mix_seed
from .unwrap import unwrap

__all__ = [
    'ATOMIC_LOCAL', 'AtomicLocalBackend', 'fixed_seed', 'mix_seed',
    'prepare_cpu_distributed', 'unwrap'
]
