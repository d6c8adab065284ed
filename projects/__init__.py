# Other distributions ship a top-level `projects` as well (an MMDetection
# clone, for example): sharing the name keeps all of them importable.
__path__ = __import__('pkgutil').extend_path(__path__, __name__)
