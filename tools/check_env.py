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
from typing import Callable, List, NamedTuple, Optional

try:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet
except ImportError:  # a bare environment has only pip's own copy
    try:
        from pip._vendor.packaging.requirements import Requirement
        from pip._vendor.packaging.specifiers import SpecifierSet
    except ImportError:
        raise SystemExit('Neither packaging nor pip is installed: run '
                         'bash tools/setup_env.sh.')

ROOT = Path(__file__).resolve().parents[1]
SET_UP = 'bash tools/setup_env.sh'
# Installed one by one, these would not fit each other.
SET_UP_TOGETHER = ('torch', 'torchvision', 'mmcv')


class Finding(NamedTuple):
    """One line of the table; without a fix, all is well."""
    name: str
    found: str
    supported: str
    fix: Optional[str] = None


def check_python() -> Finding:
    """Compare the Python with the range of setup.cfg."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / 'setup.cfg')
    supported = settings['options']['python_requires']
    found = platform.python_version()
    is_supported = SpecifierSet(supported).contains(found, prereleases=True)
    fix = None if is_supported else f'PYTHON=python3.11 {SET_UP}'
    return Finding('python', found, supported, fix)


def read_requirements() -> List[Requirement]:
    """Read the supported ranges of requirements.txt."""
    lines = (ROOT / 'requirements.txt').read_text().splitlines()
    lines = [line.partition('#')[0].strip() for line in lines]
    return [Requirement(line) for line in lines if line]


def check_package(requirement: Requirement) -> Finding:
    """Compare an installed package with its range."""
    try:
        found = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        found = None
    bounds = sorted(map(str, requirement.specifier), reverse=True)
    supported = ','.join(bounds)  # the lower one first
    if found and requirement.specifier.contains(found, prereleases=True):
        return Finding(requirement.name, found, supported or 'any')
    fix = f'pip install "{requirement.name}{supported}"'
    if requirement.name in SET_UP_TOGETHER:
        fix = SET_UP
    return Finding(requirement.name, found or 'missing', supported or 'any',
                   fix)


def check_working(name: str, action: Callable[[], str], fix: str) -> Finding:
    """Try something out.

    Args:
        name (str): What is tried.
        action (Callable): Returns what was found; raises what went wrong.
        fix (str): What helps then.
    """
    try:
        return Finding(name, action(), 'works')
    except Exception as error:  # whatever it is belongs in the table
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        return Finding(name, f'{type(error).__name__}: {reason}', 'works', fix)


def import_torchvision() -> str:
    """Load the compiled part of torchvision, which fits one torch only."""
    import_module('torchvision.ops')
    return 'works'


def has_gpu() -> bool:
    """Whether there is a torch that sees a GPU."""
    try:
        import torch
    except (ImportError, OSError):
        return False
    return torch.cuda.is_available()


def import_compiled_ops() -> str:
    """Load mmcv's compiled ops.

    Returns:
        str: What they were built for.
    """
    from mmcv.ops import get_compiling_cuda_version
    cuda_version = get_compiling_cuda_version()
    if cuda_version != 'not available':
        return f'works, CUDA {cuda_version}'
    if has_gpu():
        raise RuntimeError('built without CUDA, and there is a GPU')
    return 'works, CPU only'


def run_deformable_attention(device: str,
                             in_bfloat16: bool = False,
                             as_in_project: bool = False) -> str:
    """Run the deformable attention of the pixel decoder forth and back.

    Args:
        device (str): 'cpu' or 'cuda'.
        in_bfloat16 (bool): With automatic mixed precision. Defaults to False.
        as_in_project (bool): As in ``Mask2FormerAdapter.encode``, which leaves
            mixed precision for the pixel decoder. Defaults to False.
    """
    import torch
    from mmcv.ops import MultiScaleDeformableAttention
    side, channels = 4, 32
    attention = MultiScaleDeformableAttention(
        channels, num_heads=4, num_levels=1, batch_first=True).to(device)
    features = torch.rand(1, side * side, channels, device=device)
    with torch.autocast(device, torch.bfloat16, enabled=in_bfloat16):
        # As behind other layers of a network, in the precision of the day.
        features = torch.nn.Linear(channels, channels).to(device)(features)
        enabled = in_bfloat16 and not as_in_project
        with torch.autocast(device, torch.bfloat16, enabled=enabled):
            output = attention(
                features.float() if as_in_project else features,
                reference_points=torch.rand(
                    1, side * side, 1, 2, device=device),
                spatial_shapes=torch.tensor([[side, side]], device=device),
                level_start_index=torch.tensor([0], device=device))
    output.float().sum().backward()
    if not output.isfinite().all():
        raise RuntimeError('the output is not finite')
    return 'works'


def run_in_bfloat16(device: str) -> str:
    """Run the deformable attention under automatic mixed precision."""
    try:
        return run_deformable_attention(device, in_bfloat16=True)
    except RuntimeError:  # also what torch raises for a missing kernel
        run_deformable_attention(device, in_bfloat16=True, as_in_project=True)
        return 'works, falls back to float32'


def check_deformable_attention(device: str) -> List[Finding]:
    """Try the deformable attention on a device in both precisions."""
    precisions = dict(
        float32=lambda: run_deformable_attention(device),
        bfloat16=lambda: run_in_bfloat16(device))
    names = [f'deformable attention, {device}, {name}' for name in precisions]
    if device == 'cuda' and not has_gpu():
        return [Finding(name, 'no GPU', 'works') for name in names]
    return [
        check_working(name, action, SET_UP)
        for name, action in zip(names, precisions.values())
    ]


def check_environment() -> List[Finding]:
    """Make all checks."""
    ops_fix = SET_UP
    if has_gpu():
        ops_fix += ', with nvcc of the CUDA version that torch was built for'
    return [
        check_python(),
        *map(check_package, read_requirements()),
        check_working('torchvision, compiled', import_torchvision, SET_UP),
        check_working('mmcv, compiled ops', import_compiled_ops, ops_fix),
        *check_deformable_attention('cpu'),
        *check_deformable_attention('cuda'),
    ]


def print_table(findings: List[Finding]) -> None:
    """Print one line per finding, and a second one for its fix."""
    header = Finding('', 'found', 'supported')
    name_width = max(len(finding.name) for finding in findings)
    supported_width = max(len(finding.supported) for finding in findings)
    for finding in [header, *findings]:
        mark = '' if finding is header else 'FIX' if finding.fix else 'ok'
        print(f'{mark:4}{finding.name:{name_width}}  '
              f'{finding.supported:{supported_width}}  {finding.found}')
        if finding.fix:
            print(f'{"":4}{"":{name_width}}  -> {finding.fix}')


def main() -> int:
    """Check, print, and return the exit status."""
    warnings.filterwarnings('ignore')
    findings = check_environment()
    print_table(findings)
    num_to_fix = sum(finding.fix is not None for finding in findings)
    if num_to_fix:
        print(f'{num_to_fix} of {len(findings)} checks need a fix. '
              f'"{SET_UP}" makes an environment that passes all.')
    else:
        print('Everything is as it should be.')
    return int(num_to_fix > 0)


if __name__ == '__main__':
    sys.exit(main())
