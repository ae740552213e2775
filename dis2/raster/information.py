"""Where one image tells most about the other: Mattes mutual information, which needs no common look, only a common place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

COARSE = 4  # pixels between the shifts that are all tried before the best is refined
DETAIL = 4.0  # pixels: the deviation of the smoothing that leaves the shapes that are too wide
BINS = 32
SHARE = 0.33  # of the pixels that enter one evaluation


def most_informative(reference: Array, second: Array, weights: tuple[Mask, Mask], search: int) -> tuple[float, float]:
    """(dx, dy) of the largest mutual information: every coarse shift is tried, the best one refined; NaN where nothing meets."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    transform = sitk.TranslationTransform(2)
    steps = max(1, round(search / COARSE))
    try:
        coarse = registration(sitk, transform, weights, COARSE)
        coarse.SetOptimizerAsExhaustive([steps, steps], COARSE)
        coarse.Execute(image(sitk, reference, 2.0, COARSE), image(sitk, second, 2.0, COARSE))
        fine = registration(sitk, transform, weights, 1)
        fine.SetMetricSamplingStrategy(fine.REGULAR)
        fine.SetMetricSamplingPercentage(SHARE, 1)
        fine.SetOptimizerAsRegularStepGradientDescent(1.0, 0.01, 40, 0.5, 1e-6)
        fine.Execute(image(sitk, detail(reference), 1.0, 1), image(sitk, detail(second), 1.0, 1))
    except RuntimeError:  # no measured pixel of one falls on the other
        return math.nan, math.nan
    dx, dy = transform.GetParameters()
    return dx, dy


def detail(values: Array) -> Array:
    """What is smaller than about 20 pixels: wide shapes tell nothing about fractions of a pixel."""
    return values - ndimage.gaussian_filter(values, DETAIL)


def registration(sitk: Any, transform: Any, weights: tuple[Mask, Mask], step: int) -> Any:
    """A registration of two images by mutual information over their trusted pixels."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetInitialTransform(transform, inPlace=True)
    if not weights[0].all():
        method.SetMetricFixedMask(image(sitk, weights[0].astype(np.uint8), 0, step))
    if not weights[1].all():
        method.SetMetricMovingMask(image(sitk, weights[1].astype(np.uint8), 0, step))
    return method


def image(sitk: Any, values: NDArray, smooth: float, step: int) -> Any:
    """Every step-th pixel of the smoothed values, in a frame where distances are pixels of the window."""
    if smooth:
        values = ndimage.gaussian_filter(values, smooth)
    result = sitk.GetImageFromArray(values[step // 2 :: step, step // 2 :: step])
    result.SetSpacing([step, step])
    return result
