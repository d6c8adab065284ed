"""Reading an experiment: what it asks for, and what it must not say."""
import json
import runpy
from pathlib import Path

import pytest
from mmengine.config import Config

from mask_jepa.experiments import choose_images
from mask_jepa.experiments.experiment import count_images, read_experiment


def runs_of(experiment):
    return [(run.seed, run.task.name, run.num_labels, run.arm)
            for run in experiment.finetunings]


def two_tasks(plan):
    plan['tasks']['houses'] = dict(
        config='task.py', library='mmdet', metric='mAP', scale=100)


def test_runs_go_seed_by_seed(write_plan):
    experiment = read_experiment(write_plan(two_tasks))
    assert runs_of(experiment) == [
        (seed, task, labels, arm) for seed in (0, 1)
        for task in ('streets', 'houses') for labels in (4, 16)
        for arm in ('none', 'ours')
    ]
    assert experiment.name == 'small'
    assert experiment.question == 'Does it help?'
    assert experiment.compare_with == ['none']
    scales = {run.task.name: run.task.scale for run in experiment.finetunings}
    assert scales == dict(streets=1, houses=100)


def test_an_arm_may_be_narrowed(write_plan):

    def change(plan):
        two_tasks(plan)
        plan['arms']['ours'].update(
            tasks=['houses'], label_fractions=[1], seeds=[1])

    runs = runs_of(read_experiment(write_plan(change)))
    assert [run for run in runs if run[3] == 'ours'
            ] == [(1, 'houses', 16, 'ours')]
    assert len([run for run in runs if run[3] == 'none']) == 8


def test_arms_of_a_seed_share_a_pretraining(write_plan):

    def change(plan):
        plan['arms'] = {
            'none': {},
            'ours': dict(pretraining='ours'),
            'backbone': dict(pretraining='ours', parts=['backbone']),
            'target': dict(pretraining='ours', branch='target')
        }

    experiment = read_experiment(write_plan(change))
    assert [run.seed for run in experiment.pretrainings] == [0, 1]
    assert {run.images_seen for run in experiment.pretrainings} == {6}
    needed = {(run.arm, run.pretraining and run.pretraining.digest)
              for run in experiment.finetunings if run.seed == 1}
    shared = experiment.pretrainings[1].digest
    assert needed == {('none', None), ('ours', shared), ('backbone', shared),
                      ('target', shared)}
    origins = {run.arm: run for run in experiment.finetunings}
    assert origins['ours'].parts == ('backbone', 'pixel_decoder',
                                     'transformer_decoder')
    assert origins['ours'].branch == 'online'
    assert origins['backbone'].parts == ('backbone', )
    assert origins['target'].branch == 'target'


def test_options_of_an_arm_are_its_own(write_plan):

    def change(plan):
        plan['arms']['random'] = dict(options={'model.depth': 3})

    runs = read_experiment(write_plan(change)).finetunings
    depths = {run.arm: run.config.model.get('depth') for run in runs}
    assert depths == dict(none=None, ours=None, random=3)
    digests = {run.digest for run in runs if run.seed == 0}
    assert len(digests) == 6  # three arms with two numbers of labels


def test_options_change_the_configs(write_plan):

    def change(plan):
        plan['pretrainings']['ours'].update(
            library='mmpretrain', options={'train_cfg.max_iters': 50})
        plan['tasks']['streets']['options'] = {
            'train_dataloader.dataset.type': 'Others',
            'val_cfg': None
        }

    run = read_experiment(write_plan(change)).finetunings[-1]
    assert run.config.train_dataloader.dataset.type == 'Others'
    assert run.config.val_cfg is None
    assert run.pretraining.config.train_cfg.max_iters == 50
    assert run.pretraining.library == 'mmpretrain'


@pytest.mark.parametrize('key', [
    'seeds', 'label_fractions', 'pretrainings', 'tasks', 'arms', 'compare_with'
])
def test_missing_key_is_named(write_plan, key):
    with pytest.raises(ValueError, match=f'small.py lacks {key}[.]'):
        read_experiment(write_plan(lambda plan: plan.pop(key)))


@pytest.mark.parametrize('where, change, sentence', [
    ('', dict(compare_with=[]), 'lacks compare_with'),
    ('', dict(compare_with=['theirs']), "compare_with names 'theirs'"),
    ('', dict(label_fractions=[0.5, 0]), r'\(0, 1\], but one is 0'),
    ('', dict(label_fractions=[1.5]), r'\(0, 1\], but one is 1.5'),
    ('pretrainings', dict(option=1), r"pretrainings\['ours'\] has option"),
    ('pretrainings', dict(config='no.py'), "a config file, but is 'no.py'"),
    ('pretrainings', dict(library='mmdet3d'), "library names 'mmdet3d'"),
    ('pretrainings', dict(options={'hooks.3.a': 1}), 'py: .*Index 3 exceeds'),
    ('tasks', dict(options={'model.init_cfg.type.a': 1}), 'task.py: '),
    ('arms', dict(options={'model.init_cfg.type.a': 1}), 'task.py: '),
    ('tasks', dict(metrics='mIoU'), r"tasks\['streets'\] has metrics"),
    ('tasks', dict(config=None), 'must be a config file, but is None'),
    ('tasks', dict(library='mmsegmentation'), "names 'mmsegmentation'"),
    ('tasks', dict(metric=None), r"tasks\['streets'\] lacks metric"),
    ('arms', dict(part='backbone'), r"arms\['ours'\] has part"),
    ('arms', dict(pretraining='other'), "pretraining names 'other'"),
    ('arms', dict(branch='teacher'), "branch names 'teacher'"),
    ('arms', dict(parts=['neck']), "parts names 'neck'"),
    ('arms', dict(parts=[]), 'parts names None'),
    ('arms', dict(tasks=['houses']), "tasks names 'houses'"),
    ('arms', dict(label_fractions=[0.5]), 'label_fractions names 0.5'),
    ('arms', dict(seeds=[2]), 'seeds names 2'),
])
def test_what_does_not_fit_is_refused(write_plan, where, change, sentence):

    def spoil(plan):
        entries = plan[where] if where else dict(plan=plan)
        list(entries.values())[-1].update(change)

    with pytest.raises(ValueError, match=sentence):
        read_experiment(write_plan(spoil))


def test_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match='no/such/plan.py'):
        read_experiment('no/such/plan.py')


@pytest.fixture(scope='module')
def scenes(tmp_path_factory, root):
    """Five labelled scenes; one has no instance."""
    folder = tmp_path_factory.mktemp('scenes')
    tool = runpy.run_path(str(root / 'tools/misc/generate_scenes.py'))
    tool['write_scenes'](str(folder), 5, 1, 0)
    path = folder / 'coco128/annotations/instances_train2017.json'
    content = json.loads(path.read_text())
    content['annotations'] = [
        each for each in content['annotations'] if each['image_id'] != 3
    ]
    path.write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize('library, count', [('mmseg', 5), ('mmdet', 4)])
def test_images_are_counted_as_the_library_does(root, scenes, monkeypatch,
                                                library, count):
    monkeypatch.setenv('MASK_JEPA_DATA', str(scenes))
    path = min(Path(root, 'configs/finetune', library).glob('*r18-tiny*.py'))
    config = Config.fromfile(path)
    before = config.to_dict()
    assert count_images(config, library) == count
    assert config.to_dict() == before


# Which images have labels.


@pytest.mark.parametrize('fraction, count', [(1 / 16, 8), (1 / 8, 15),
                                             (1 / 4, 31), (1, 123),
                                             (0.001, 1)])
def test_number_of_labelled_images(fraction, count):
    images = choose_images(123, fraction, seed=0)
    assert len(set(images)) == len(images) == count
    assert images == sorted(images)
    assert set(images) <= set(range(123))


def test_fewer_images_are_part_of_more():
    chosen = [
        set(choose_images(123, fraction, seed=5))
        for fraction in (1 / 16, 1 / 8, 1 / 4, 1)
    ]
    for fewer, more in zip(chosen, chosen[1:]):
        assert fewer < more


def test_images_depend_on_the_seed_alone():
    first = choose_images(123, 1 / 4, seed=0)
    assert choose_images(123, 1 / 4, seed=0) == first
    others = [choose_images(123, 1 / 4, seed=seed) for seed in range(1, 5)]
    assert first not in others
    # The choice is spread over the set.
    assert min(first) < 20 and max(first) > 100


def test_rare_classes_come_first_when_balanced():
    classes = [{0} for _ in range(100)]
    for image, name in {17: 1, 60: 1, 42: 2, 99: 3}.items():
        classes[image] = {0, name}
    classes[5] = set()

    def choose(count):
        return set(choose_images(100, count / 100, 0, classes))

    # Four classes; two images show the rarest of them first of all.
    assert {1, 2, 3} <= set().union(*(classes[index] for index in choose(4)))
    assert {17, 60, 42, 99} <= choose(6) < choose(50) < choose(99)
    assert choose(99) == set(range(100)) - {5}
    assert not {17, 60, 42, 99} <= set(choose_images(100, 0.06, seed=0))
