"""What the rules share: where files are, and what a job's code is."""

import re
from functools import cache
from pathlib import Path

from dis2.fingerprint import fingerprint, pins
from dis2.models.registry import method_of

PINS = pins(Path(workflow.basedir, "constraints.txt"), "lightning-fabric", "numpy", "scipy", "torch")
CHOICE = os.environ.get("DIS2_GPU", "")  # 1: the CUDA build; 0: no GPU is asked for, nor used where there is one
TRAIN_ENV = "../envs/train-gpu.yaml" if CHOICE == "1" else "../envs/train.yaml"
GPUS = 0 if CHOICE == "0" else 1
code = cache(fingerprint)


def results(path):
    """A file of this data set."""
    return f"{PLAN.folder}/{path}"


def growing(megabytes):
    """Memory, and more of it at each attempt: the one before may have failed for want of it."""
    return lambda wildcards, attempt: megabytes * attempt


def parent(path):
    """The folder that a file lies in."""
    return str(Path(path).parent)


def one_of(names):
    """A wildcard that is one of these names."""
    return "|".join(map(re.escape, names)) or "(?!)"


def stores(scenes):
    """The tiles of scenes: folders, of whose changes their manifests tell and their times do not."""
    return [ancient(results(f"tiles/{scene}.zarr")) for scene in scenes]


def manifests(scenes):
    """What says that these stores are whole."""
    return [results(f"tiles/{scene}.manifest.json") for scene in scenes]


def model(method, seed):
    """What a trained model is to those who use it."""
    return in_folders(method, seed, "weights.safetensors", "model.json")


def training(method, seed):
    """All that a training leaves."""
    return [*model(method, seed), *in_folders(method, seed, "history.jsonl", "curves.png")]


def in_folders(method, seed, *names):
    """Files of each network of a method."""
    return [results(f"models/{folder}/{name}") for folder in PLAN.folders(method, seed) for name in names]


def scored(wildcards):
    """Method and seed of the model that is evaluated, or mapped with: maps are those of the first seed."""
    return PLAN.model(wildcards.method), getattr(wildcards, "seed", PLAN.seed)


def model_folder(wildcards):
    """Where that model lies."""
    return results("models/{}/{}".format(*scored(wildcards)))


def teacher_of(wildcards):
    """The teacher that a method starts from, if it does."""
    return model("teacher", wildcards.seed) if wildcards.method in PLAN.from_teacher else []


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


def truths():
    """What is known about built-in scenes."""
    return [results(f"scenes/{scene}/truth.json") for scenes in PLAN.simulated().values() for scene in scenes]


def maps():
    """The maps of all methods, how sure they are and what they are made from."""
    return [
        results(f"maps/{method}/{scene}/{combination}{kind}.tif")
        for method in PLAN.run.methods
        for scene, combinations in PLAN.run.maps.items()
        for combination in combinations
        for kind in ("", ".confidence", ".sensors")
    ]


def explanations():
    """What the report tells of sensors and resolutions."""
    return [results(f"explained/{it}/{name}") for it in PLAN.explained for name in ("explanation.json", "attention.npy")]


wildcard_constraints:
    scene=one_of(PLAN.data.scenes),
    method=one_of([*PLAN.trained, *PLAN.scored]),
    seed=one_of(map(str, PLAN.run.seeds)),
    combination=one_of(PLAN.combinations),
