from .grouped_constructor import GroupedOptimWrapperConstructor
from .older_checkpoint import adapt_older_checkpoint

__all__ = ['GroupedOptimWrapperConstructor', 'adapt_older_checkpoint']
