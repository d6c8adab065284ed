"""A training of some thousand steps: memory, open files, logs, curve."""
import json
import os
import re
from pathlib import Path
from statistics import fmean, median
from time import sleep

from bench import finish, logged_steps, start

INTERVAL = 10  # of lines in the log
WARM_UP = 0.02  # of the steps, which count for nothing, of each session


def run_for_long(bench, steps):
    """Train, with two stops on the way; go on with a run that is there.

    Returns:
        dict: What was measured.
    """
    name = f'long_{steps}'
    config = bench.config(
        name, {
            'train_cfg.max_iters': steps,
            'default_hooks.logger.interval': INTERVAL,
            'default_hooks.checkpoint.interval': steps // 20,
            'default_hooks.checkpoint.max_keep_ckpts': 2
        })
    work_dir = bench.folder / name
    samples = bench.folder / f'{name}.jsonl'
    for stop in (steps // 3, 2 * steps // 3, steps + 1):
        if max(logged_steps(work_dir), default=0) >= stop:
            continue
        process = start(bench.output, 'tools/train.py', config, '--work-dir',
                        work_dir, '--resume')
        told = False
        while process.is_alive():
            sleep(2)
            sample = measure(process.pid, work_dir)
            if sample['step'] >= stop and not told:
                process.terminate()
                told = True
            with samples.open('a') as file:
                file.write(json.dumps(sample) + '\n')
        assert finish([process]) == [143 if told else 0], (
            bench.output.read_text()[-2000:])
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    return dict(
        sessions=list(summarise(rows, WARM_UP * steps)),
        log_bytes_per_step=sum(path.stat().st_size
                               for path in work_dir.rglob('*')
                               if path.suffix in ('.log', '.json')) / steps,
        **look_for_seams(work_dir, steps))


def measure(process, work_dir):
    """How far a training is, its memory, open files and last checkpoint."""
    sample = dict(process=process, step=max(logged_steps(work_dir), default=0))
    try:
        status = Path(f'/proc/{process}/status').read_text()
        memory = re.search(r'VmRSS:\s+(\d+) kB', status)
        files = len(os.listdir(f'/proc/{process}/fd'))
    except OSError:  # It has ended.
        return sample
    if memory:
        sample.update(megabytes=int(memory[1]) / 1024, files=files)
    sample['checkpoint'] = max(
        (path.stat().st_size for path in work_dir.glob('iter_*.pth')),
        default=0)
    return sample


def summarise(samples, warm_up):
    """Compare begin and end of each session, after some steps."""
    for process in dict.fromkeys(each['process'] for each in samples):
        rows = [
            each for each in samples
            if each['process'] == process and 'files' in each
        ]
        begin = min(each['step'] for each in rows)
        # Its first lines are those of the session before.
        rows = [each for each in rows if each['step'] >= begin + warm_up]
        part = max(len(rows) // 5, 1)
        ends = rows[:part], rows[-part:]
        yield dict(
            steps=[begin, rows[-1]['step']],
            files=sorted({each['files']
                          for each in rows}),
            **{
                key: [median(each[key] for each in piece) for piece in ends]
                for key in ('megabytes', 'checkpoint')
            })


def look_for_seams(work_dir, steps):
    """Compare the curve around each resume with that elsewhere."""
    curve, seams = {}, []
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        lines = map(json.loads, path.read_text().splitlines())
        session = {
            line['step']: line['loss']
            for line in lines
            if 'loss' in line and line['step'] % INTERVAL == 0
        }
        assert not curve.keys() & session.keys(), 'a step is logged twice'
        seams.append(min(session))
        curve.update(session)
    assert sorted(curve) == list(range(INTERVAL, steps + 1, INTERVAL))
    window = steps // 20 // INTERVAL * INTERVAL

    def jump(place):
        before, after = ([
            curve[step] for step in range(begin, begin + window, INTERVAL)
        ] for begin in (place - window, place))
        return fmean(after) - fmean(before)

    jumps = {
        place: jump(place)
        for place in range(window + INTERVAL, steps - window, INTERVAL)
    }
    far = [
        jumps[place] for place in jumps if all(
            abs(place - seam) >= window for seam in seams)
    ]
    return dict(
        loss=[
            fmean(list(curve.values())[:20]),
            fmean(list(curve.values())[-20:])
        ],
        change_at_resumes=[jumps[seam] for seam in seams[1:]],
        change_elsewhere=[min(far), max(far)])
