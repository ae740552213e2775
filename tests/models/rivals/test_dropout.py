"""Sensor dropout is the teacher's network, so that what differs is how it is trained."""

import torch

from tests.models.tester import NetworkTester, fresh, sample


class TestDropout(NetworkTester):
    method = "sensor-dropout"

    @torch.no_grad()
    def test_it_computes_what_the_teacher_does(self, network):
        assert torch.equal(network(*sample()).logits, fresh("teacher")(*sample()).logits)
