"""Class-wise features: the scores of each class, and queries that know which sensors are gone."""

import torch

from dis2.models.classwise import ClasswiseAttention
from tests.models.tester import assert_close


def test_scores_are_queries_changed_by_what_is_missing_at_each_place():
    torch.manual_seed(0)
    attention = ClasswiseAttention(8, 3, 2, adaptive=True).double()
    torch.nn.init.normal_(attention.without)
    features, validity = torch.randn(2, 8, 2, 5).double(), torch.rand(2, 2, 2, 5).double()
    scores, normed = attention(features, validity)
    for b, y, x in ((0, 1, 2), (1, 0, 4)):
        queries = attention.queries + sum((1 - validity[b, n, y, x]) * attention.without[n] for n in range(2))
        assert_close(normed[b, :, y, x], torch.nn.functional.layer_norm(features[b, :, y, x], (8,)))
        assert_close(scores[b, :, y, x], queries @ normed[b, :, y, x])


def test_a_gain_of_the_features_does_not_silence_the_classes():
    torch.manual_seed(0)
    attention, features = ClasswiseAttention(32, 6, 2, adaptive=False), torch.randn(1, 32, 4, 4)
    weak, strong = (attention(gain * features, torch.ones(1, 2, 4, 4))[0].std(1).mean() for gain in (0.1, 100.0))
    assert weak >= 0.5 and abs(weak / strong - 1) < 0.01
