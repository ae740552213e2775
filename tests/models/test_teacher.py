"""The teacher: encoders and hierarchical fusion of every sensor, and a class-wise decoder (test_ablations.py: a plain one)."""

import torch

from tests.models.tester import ClasswiseTester, complete, sample


class TestTeacher(ClasswiseTester):
    method = "teacher"

    @torch.no_grad()
    def test_features_have_the_shapes_that_losses_and_explanations_rely_on(self, network):
        images, _ = sample(size=(32, 48))
        found = network.train()(images, complete(images)).features
        assert [tuple(x.shape[1:]) for x in found.fused] == [(4, 16, 24), (8, 8, 12), (16, 4, 6), (32, 2, 3)]
        assert [tuple(x.shape[1:]) for x in found.scales] == [(3, 2, 3), (3, 4, 6), (3, 8, 12), (3, 16, 24)]
        assert [tuple(x.shape[1:]) for x in found.own["echo"]] == [tuple(x.shape[1:]) for x in found.fused]
        assert (
            found.token.shape == (1, 32) and found.penultimate.shape == (1, 4, 32, 48) and found.attention.shape == (1, 3, 2, 3)
        )
