"""From rasters to the report in one command: reads and checks the config, then lets the rules make what it asks for."""

import os
import shutil
import sys
from pathlib import Path

from snakemake.settings.types import DeploymentMethod
from snakemake.utils import min_version

from dis2.config.plan import Plan
from dis2.config.run import read_run
from dis2.errors import UserError
from dis2.files import check_folder
from dis2.models.registry import METHODS, method_of

min_version("9.0")

if workflow.deployment_settings.deployment_method == {DeploymentMethod.CONDA} and not shutil.which("conda"):
    sys.exit("--use-conda: there is no conda here; leave it out to use this environment, or install conda 24.7.1 or later")
if image := os.environ.get("DIS2_CONTAINER"):  # built from workflow/Dockerfile, for --sdm conda apptainer

    containerized: image


if not workflow.configfiles:  # given ones would be merged with the default one

    configfile: "config/config.yaml"


FILES = [os.path.relpath(file) for file in workflow.configfiles]
try:
    PLAN = Plan(read_run(FILES, METHODS, merged=config), method_of)
    PLAN.check_files(FILES)
    check_folder(Path(".snakemake"))
except UserError as error:
    sys.exit(str(error))
try:
    check_folder(Path(PLAN.folder))
except UserError as error:
    sys.stderr.write(f"{error}\n")  # what is planned, or that there is nothing to do, can be told all the same

    onstart:
        sys.exit(1)


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


rule all:
    """The report, and what is of use beside it: where one of these was deleted, it is made again."""
    default_target: True
    input:
        rules.report.output,
        MODELS,
        SCORES,
        maps,
        explanations,
    localrule: True
