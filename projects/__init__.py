"""``projects.mask_jepa``, the name of release 0.1.0, in a clone."""
import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pkgutil import extend_path

# Other distributions ship a top-level `projects` as well (an MMDetection
# clone, for example): sharing the name keeps all of them importable.
__path__ = extend_path(__path__, __name__)


class FormerName(MetaPathFinder, Loader):
    """Finds the modules of ``mask_jepa`` under their former names, too.

    Imported by both, they would be registered twice.
    """

    def find_spec(self, name, path=None, target=None):
        if f'{name}.'.startswith(f'{__name__}.mask_jepa.'):
            return ModuleSpec(name, self)

    def exec_module(self, module):
        name = module.__name__
        sys.modules[name] = import_module(name.partition('.')[2])


sys.meta_path.insert(0, FormerName())
