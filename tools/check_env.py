"""Compare this environment with what Mask-JEPA supports.

Prints what was found, what is supported and how to mend the difference; exits
with 1 if there is any.
"""
import configparser
import platform
import sys
import warnings
from importlib import import_module, metadata
from pathlib import Path
from typing import Callable, List, NamedTuple

try:
    from packaging.requirements import Requirement
except ImportError:  # a bare environment has only pip's own copy
    try:
        from pip._vendor.packaging.requirements import Requirement
    except ImportError:
        raise SystemExit('Neither packaging nor pip is installed: run '
                         'bash tools/setup_env.sh.')

ROOT = Path(__file__).resolve().parents[1]
SET_UP = 'bash tools/setup_env.sh'
STACKS = ('openmmlab', 'onedl')
# Installed one by one, these would not fit each other.
SET_UP_TOGETHER = ('torch', 'torchvision', 'mmcv', 'onedl-mmcv')


class Finding(NamedTuple):
    """One line of the table; without a fix, all is well."""
    name: str
    found: str
    supported: str
    fix: str = ''


def read_requirements(*paths: str) -> List[Requirement]:
    """Read the supported ranges of files of the repository."""
    lines = [
        line.partition('#')[0].strip() for path in paths
        for line in (ROOT / path).read_text().splitlines()
    ]
    return [Requirement(line) for line in lines if line]


def find_version(name: str) -> str:
    """Find the version of an installed package, or 'missing'."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return 'missing'


def supported_ranges() -> List[Requirement]:
    """Read the ranges for Python, and for the stack that is installed.

    Raises:
        SystemExit: If neither stack is installed, or parts of both are.
    """
    settings = configparser.ConfigParser()
    settings.read(ROOT / 'setup.cfg')
    parts = {}
    for stack in STACKS:
        ranges = read_requirements(f'requirements/{stack}.txt')
        # The rest is what both stacks need.
        names = [range.name for range in ranges if 'mm' in range.name]
        parts[stack] = [
            name for name in names if find_version(name) != 'missing'
        ]
    stacks = [stack for stack in STACKS if parts[stack]]
    if not stacks:
        raise SystemExit(
            'Neither OpenMMLab nor its forks (onedl) are installed: run '
            f'{SET_UP}, or activate the environment that has one of them.')
    if len(stacks) > 1:
        raise SystemExit(
            "OpenMMLab and its forks are mixed and write over each other's "
            f'files ({", ".join(sum(parts.values(), []))}): make an '
            f'environment with one of them, such as by {SET_UP}.')
    merged = {}  # what both files bound is one line
    for range in [
            Requirement('python' + settings['options']['python_requires']),
            *read_requirements('requirements.txt',
                               f'requirements/{stacks[0]}.txt')
    ]:
        merged.setdefault(range.name, range).specifier &= range.specifier
    return list(merged.values())


def check_version(requirement: Requirement) -> Finding:
    """Compare Python or an installed package with its range."""
    name = requirement.name
    bounds = sorted(map(str, requirement.specifier), reverse=True)
    supported = ','.join(bounds) or 'any'  # the lower one first
    fix = f'pip install "{requirement}"'
    if name == 'python':
        found, fix = platform.python_version(), f'PYTHON=python3.11 {SET_UP}'
    else:
        found = find_version(name)
    if name in SET_UP_TOGETHER:
        fix = SET_UP
    if found != 'missing' and requirement.specifier.contains(
            found, prereleases=True):
        fix = ''
    return Finding(name, found, supported, fix)


def check_working(name: str, action: Callable[[], str]) -> Finding:
    """Try something out.

    Args:
        name (str): What is tried.
        action (Callable): Returns what was found; raises what went wrong.
    """
    try:
        return Finding(name, action(), 'works')
    except Exception as error:  # whatever it is belongs in the table
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        return Finding(name, f'{type(error).__name__}: {reason}', 'works',
                       SET_UP)


def import_torchvision() -> str:
    """Load the compiled part of torchvision, which fits one torch only."""
    import_module('torchvision.ops')
    return 'works'


def import_compiled_ops() -> str:
    """Load mmcv's compiled ops.

    Returns:
        str: What they were built for.
    """
    import torch
    from mmcv.ops import get_compiling_cuda_version
    cuda_version = get_compiling_cuda_version()
    if cuda_version != 'not available':
        return f'works, CUDA {cuda_version}'
    if torch.cuda.is_available():
        raise RuntimeError('built without CUDA, and there is a GPU: the fix '
                           f'needs nvcc of CUDA {torch.version.cuda}')
    return 'works, CPU only'


def run_deformable_attention(device: str) -> str:
    """Run the deformable attention of the pixel decoder forth and back, in
    float32, as the project always does."""
    import torch
    from mmcv.ops import MultiScaleDeformableAttention
    if device == 'cuda' and not torch.cuda.is_available():
        return 'no GPU'
    side, channels = 4, 32
    attention = MultiScaleDeformableAttention(
        channels, num_heads=4, num_levels=1, batch_first=True).to(device)
    output = attention(
        torch.rand(1, side * side, channels, device=device),
        reference_points=torch.rand(1, side * side, 1, 2, device=device),
        spatial_shapes=torch.tensor([[side, side]], device=device),
        level_start_index=torch.tensor([0], device=device))
    output.sum().backward()
    if not output.isfinite().all():
        raise RuntimeError('the output is not finite')
    return 'works'


def check_environment() -> List[Finding]:
    """Make all checks."""
    return [
        *map(check_version, supported_ranges()),
        check_working('torchvision, compiled', import_torchvision),
        check_working('mmcv, compiled ops', import_compiled_ops),
        *(check_working(f'deformable attention, {device}',
                        lambda: run_deformable_attention(device))
          for device in ('cpu', 'cuda')),
    ]


def main() -> int:
    """Check, print, and return the exit status."""
    warnings.filterwarnings('ignore')
    findings = check_environment()
    names, _, ranges, _ = zip(*findings)
    width, range_width = (max(map(len, texts)) for texts in (names, ranges))
    for name, found, supported, fix in [
            Finding('', 'found', 'supported'), *findings
    ]:
        mark = '' if not name else 'FIX' if fix else 'ok'
        print(f'{mark:4}{name:{width}}  {supported:{range_width}}  {found}')
        if fix:
            print(f'{"":4}{"":{width}}  -> {fix}')
    num_to_fix = sum(bool(finding.fix) for finding in findings)
    if num_to_fix:
        print(f'{num_to_fix} of {len(findings)} checks need a fix. '
              f'"{SET_UP}" makes an environment that passes all.')
    else:
        print('Everything is as it should be.')
    return int(num_to_fix > 0)


if __name__ == '__main__':
    sys.exit(main())
