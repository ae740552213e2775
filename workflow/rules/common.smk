"""What the rules share: where files are, and what a job's code is."""

import re
from functools import cache
from pathlib import Path

from dis2.files import read_json
from dis2.fingerprint import fingerprint, pins
from dis2.models.registry import method_of

PINS = pins(Path(workflow.basedir, "constraints.txt"), "lightning-fabric", "numpy", "scipy", "torch")
CHOICE = os.environ.get("DIS2_GPU", "")  # 1: the CUDA build; 0: no GPU is asked for, nor used where there is one
TRAIN_ENV = "../envs/train-gpu.yaml" if CHOICE == "1" else "../envs/train.yaml"
GPUS = 0 if CHOICE == "0" else 1
DEVICES = PLAN.run.training.devices  # of one training
NAME = r"[\w.-]+"  # of a scene; a pattern of thousands of them would be gone through for each of their files
code = cache(fingerprint)
scene_settings = cache(PLAN.scene_settings)


def results(path):
    """A file of this data set."""
    return f"{PLAN.folder}/{path}"


def growing(megabytes):
    """Memory, and more of it at each attempt: the one before may have failed for want of it."""
    return lambda wildcards, attempt: megabytes * attempt


def indifferent(wildcards, output):
    """A params function: settings of no consequence. Since it takes the output, Snakemake does not compare what it gives."""
    return PLAN.indifferent_settings()


def parent(path):
    """The folder that a file lies in."""
    return str(Path(path).parent)


def one_of(names):
    """A wildcard that is one of these names."""
    return "|".join(map(re.escape, names)) or "(?!)"


def either(scenes, groups):
    """The scenes of a rule, if there are several for different ones."""
    return one_of(scenes) if len(groups) > 1 else NAME


def plan():
    """The plan; where scenes whose rasters are broken are skipped, without those, once all have been looked at."""
    return PLAN if PLAN.run.preparation.broken == "stop" else without(checkpoints.sound.get().output.scenes)


@cache
def without(file):
    """The plan without the scenes that are broken by a file of the stage `sound`."""
    return PLAN.without(read_json(Path(file))["broken"])


def of(path, *splits, mark=str):
    """An input function: a file of each scene of these splits, or of each one that is prepared."""
    return lambda wildcards: [
        mark(results(path.format(scene=scene))) for scene in (plan().data.scenes_of(*splits) if splits else plan().prepared)
    ]


def checked(wildcards):
    """What was seen in the rasters of all scenes, sound or not."""
    return [results(f"checked/{scene}.json") for scene in PLAN.prepared]


def stores(*splits):
    """The tiles of scenes: folders, of whose changes their manifests tell and their times do not."""
    return of("tiles/{scene}.zarr", *splits, mark=ancient)


def manifests(*splits):
    """What says that these stores are whole."""
    return of("tiles/{scene}.manifest.json", *splits)


def split_settings(splits, *sections):
    """A params function: what is told of the scenes of these splits."""
    return lambda wildcards: plan().split_settings(splits, *sections)


def model(method, seed):
    """What a trained model is to those who use it."""
    return in_folders(method, seed, "weights.safetensors", "model.json")


def training(method, seed):
    """All that a training leaves."""
    return [*model(method, seed), *in_folders(method, seed, "history.jsonl", "curves.png")]


def in_folders(method, seed, *names):
    """Files of each network of a method."""
    return [results(f"models/{folder}/{name}") for folder in PLAN.folders(method, seed) for name in names]


MODELS = [file for method in PLAN.trained for seed in PLAN.run.seeds for file in training(method, seed)]
SCORES = [results(f"evaluation/{method}/{seed}.json") for method in PLAN.scored for seed in PLAN.run.seeds]


def scored(wildcards):
    """Method and seed of the model that is evaluated, or mapped with: maps are those of the first seed."""
    return PLAN.model(wildcards.method), getattr(wildcards, "seed", PLAN.seed)


def model_folder(wildcards):
    """Where that model lies."""
    return results("models/{}/{}".format(*scored(wildcards)))


def teacher_of(wildcards):
    """The teacher that a method starts from, if it does."""
    return model("teacher", wildcards.seed) if method_of(wildcards.method).teacher else []


def measure(wildcards):
    """The teacher whose features those of a model are compared with, where one is trained and that is wanted."""
    wanted = PLAN.run.evaluation.similarity and "teacher" in PLAN.trained
    return model("teacher", wildcards.seed) if wanted else []


def scored_model(wildcards):
    """The files of that model."""
    return model(*scored(wildcards))


def training_code(method):
    """The code that trains a method: the loop, its network and its objective."""
    return code("dis2.training.train", *method_of(method).modules)


def model_code(stage, method):
    """A stage's code, and that of the network which it runs."""
    return code(stage, method_of(PLAN.model(method)).network)


def truths(wildcards):
    """What is known about built-in scenes."""
    return [results(f"scenes/{scene}/truth.json") for scene in plan().prepared] if PLAN.run.simulate else []


def maps(wildcards):
    """The maps of all methods, how sure they are and what they are made from, and what says that they are whole."""
    return [
        results(f"maps/{method}/{scene}/{file}")
        for method in PLAN.run.methods
        for scene, combinations in plan().run.maps.items()
        for file in [
            "manifest.json",
            *(f"{name}{kind}.tif" for name in combinations for kind in ("", ".confidence", ".sensors")),
        ]
    ]


def explanations(wildcards):
    """What the report tells of sensors and resolutions."""
    return [results(f"explained/{it}/{name}") for it in plan().explained for name in ("explanation.json", "evidence.npy")]


wildcard_constraints:
    scene=NAME,
    method=one_of([*PLAN.trained, *PLAN.scored]),
    seed=one_of(map(str, PLAN.run.seeds)),
    combination=one_of(PLAN.combinations),
