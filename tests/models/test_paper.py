"""The authors' form: its layers, its parameters to the last one, and what a form for two sensors and one size can hold."""

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, group_norm, layer_norm, leaky_relu, pad, relu

from dis2.config.model import ModelSettings
from dis2.errors import UserError
from dis2.evaluation import meter
from dis2.models.files import build
from dis2.models.paper.classwise import ClasswiseDecoder
from dis2.models.paper.encoder import AuxiliaryDecoder, Encoder
from dis2.models.paper.fusion import Fusion, PreNorm, Transformer
from tests.models.tester import (
    CLASSES,
    TINY,
    NetworkTester,
    assert_close,
    batch_of,
    complete,
    fresh,
    objective_of,
    sample,
    together,
)

BOTH = {"eye": 4, "echo": 2}
FROZEN = [
    f"branches.0.pools.{level}.score.{layer}.{kind}" for level in range(3) for layer in (0, 2) for kind in ("weight", "bias")
]
"""The full branch's pools: what they give is only compared to, so that they stay as they were drawn, in the original too."""

CANCELLED = "score.2.bias"
"""A score that all positions share changes nothing of their softmax: its gradient is zero but for rounding."""

PARTS = {
    "encoders": 690_528 + 689_504,
    "compensatory": 690_528 + 689_504,
    "auxiliary": 2 * 857_765,
    "fusion": 3 * (1_920_225 - 2 * 1024 * 256),
    "positions": 6 * 1024 * 256,
    "attention": 3 * 5 * 256,
    "decoder": 3 * 790_929,
    "pools": 7 * (4_353 + 8_449 + 16_641),
}
"""For 3 + 1 bands, 5 classes and tiles of 512 pixels; biases everywhere, also before a batch normalisation."""


def published(tile):
    torch.manual_seed(0)
    return build("paper", {"rgb": 3, "ndsm": 1}, 5, ModelSettings(width=32, tile=tile)).eval()


def part_of(name):
    return next(part for part in ("positions", "pools", "fusion", "attention", "decoder", *PARTS) if part in name)


def both(size=(32, 32), seed=0):
    images, _ = sample(tuple(BOTH), size, seed)
    return images, complete(images)


class TestPaper(NetworkTester):
    method = "paper"

    test_fixed_to_a_combination_it_gives_the_bits_of_the_network = None  # which parts run depends on what the images hold
    test_fixed_to_a_combination_it_can_be_exported = None
    test_parameters_grow_with_sensors_and_not_with_their_pairs_or_combinations = None

    @pytest.mark.parametrize("count", [1, 3, 4])
    def test_it_takes_two_sensors_and_says_so_in_one_line(self, count):
        with pytest.raises(UserError, match=f"paper: takes two sensors, not {count} \\(a.*; leave it out of methods") as error:
            build("paper", dict.fromkeys("abcd"[:count], 3), CLASSES, TINY)
        assert "\n" not in str(error.value)

    def test_every_parameter_learns_from_a_batch_with_all_combinations(self):
        """But for the frozen ones. A batch takes one sensor away from its whole samples: two are needed to meet all parts."""
        network, objective = fresh("paper").train(), objective_of("paper")
        images, valid = together(
            [sample(sensors, seed=seed) for seed, sensors in enumerate([("eye", "echo"), ("eye",), ("echo",)])]
        )
        batches = [lambda seed=seed: batch_of(images, valid, seed) for seed in range(3)]
        assert {tuple(objective.views(batch())[1, 0]) for batch in batches} == {(True, False), (False, True)}
        for batch in batches:
            objective.total(objective.terms(network, batch())).backward()
        assert [name for name, p in network.named_parameters() if p.grad is None] == FROZEN
        learned = {name: p.grad for name, p in network.named_parameters() if name not in FROZEN and not name.endswith(CANCELLED)}
        assert all(gradient.any() and gradient.isfinite().all() for gradient in learned.values())

    @pytest.mark.parametrize("gone", BOTH)
    def test_a_batch_without_a_sensor_leaves_its_encoder_s_gradients_zero_and_not_missing(self, gone):
        network, objective = fresh("paper").train(), objective_of("paper")
        images, valid = together([sample(tuple(BOTH.keys() - {gone}), seed=seed) for seed in range(2)])
        objective.total(objective.terms(network, batch_of(images, valid)), network.parameters()).backward()
        assert [name for name, p in network.named_parameters() if p.grad is None] == FROZEN
        assert not any(p.grad.any() for name, p in network.named_parameters() if f".{gone}." in name)

    def test_it_learns_tiles_of_one_size_only(self):
        with pytest.raises(UserError, match="model.tile: 32 is not training.tile"):
            fresh("paper").train()(*both((48, 48)))

    @torch.no_grad()
    def test_another_image_is_its_windows_each_with_what_it_has(self, network):
        """50 rows are windows from 0 and from 18, their mean where they overlap; the one without echo is of another scenario."""
        images, valid = both((50, 32))
        valid["echo"][:, :, 18:] = False
        above, below = (
            network({s: x[:, :, rows] for s, x in images.items()}, {s: v[:, :, rows] for s, v in valid.items()}).logits
            for rows in (slice(0, 32), slice(18, 50))
        )
        assert_close(below, network({"eye": images["eye"][:, :, 18:]}, {"eye": valid["eye"][:, :, 18:]}).logits)
        by_hand = torch.cat([above[:, :, :18], (above[:, :, 18:] + below[:, :, :14]) / 2, below[:, :, 14:]], 2)
        assert_close(network(images, valid).logits, by_hand)

    @torch.no_grad()
    def test_views_of_several_windows_are_those_decoded_one_by_one(self, network):
        encoded = network.encode(*together([both((50, 32), seed=0), sample(("echo",), (50, 32), seed=1)]))
        views = [torch.tensor(view) for view in ([[True, True], [False, True]], [[True, False], [True, True]])]
        one_by_one = torch.cat([network.decode(encoded, view).logits for view in views])
        assert_close(network.decode(encoded, torch.cat(views)).logits, one_by_one)

    @torch.no_grad()
    def test_a_hole_is_zeros_and_a_sensor_with_one_valid_pixel_is_there(self, network):
        images, valid = both()
        valid["echo"][:] = False
        valid["echo"][..., 5, 7] = True
        zeros = images | {"echo": torch.where(valid["echo"], images["echo"], 0.0)}
        assert torch.equal(network(images, valid).logits, network(zeros, complete(zeros)).logits)

    @torch.no_grad()
    def test_where_no_sensor_is_there_every_class_is_alike(self, network):
        images, valid = together([sample(("eye",), seed=0), sample(("echo",), seed=1)])
        logits = network.decode(network.encode(images, valid), torch.tensor([[False, True]] * 2)).logits
        assert not logits[0].any() and logits[1].any()

    @torch.no_grad()
    @pytest.mark.parametrize(("there", "branch"), [(("echo",), 1), (("eye",), 2)])
    def test_what_a_sensor_has_to_say_for_the_missing_one_takes_its_place(self, network, there, branch):
        images, valid = both()
        slots = {
            sensor: encoder(images[there[0]])
            for sensor, encoder in (("own", network.encoders[there[0]]), ("other", network.compensatory[there[0]]))
        }
        first, second = (slots["own"] if sensor in there else slots["other"] for sensor in BOTH)
        assert_close(
            network({there[0]: images[there[0]]}, {there[0]: valid[there[0]]}).logits,
            network.branches[branch](first, second).logits,
        )

    @torch.no_grad()
    @pytest.mark.parametrize(("there", "branch"), [(("eye", "echo"), 0), (("echo",), 1), (("eye",), 2)])
    def test_only_what_a_combination_needs_is_computed(self, network, there, branch):
        ran = set()
        for name, module in network.named_modules():
            if next(module.parameters(recurse=False), None) is not None:
                module.register_forward_hook(lambda *_, name=name: ran.add(name.split(".")[0] + "." + name.split(".")[1]))
        images, valid = both()
        network({s: images[s] for s in there}, {s: valid[s] for s in there})
        lone = {f"compensatory.{there[0]}"} if len(there) == 1 else set()
        assert ran == {f"branches.{branch}", *(f"encoders.{s}" for s in there)} | lone


@pytest.mark.parametrize(("tile", "count"), [(512, 12_818_997), (256, 11_639_349)])
def test_the_parameters_are_as_many_as_published(tile, count):
    found = dict.fromkeys(PARTS, 0)
    for name, parameter in published(tile).named_parameters():
        found[part_of(name)] += parameter.numel()
    assert found == PARTS | {"positions": PARTS["positions"] * tile**2 // 512**2}
    assert sum(found.values()) == count


@torch.no_grad()
@pytest.mark.parametrize(("tile", "most", "original"), [(256, 24, 26.8), pytest.param(512, 96, 107.1, marks=pytest.mark.slow)])
def test_inference_with_all_sensors_costs_what_the_original_does_without_its_dead_branches(tile, most, original):
    """GFLOP of all layers, as the original was counted: the products within attention come on top of both."""
    network = published(tile)
    images = {"rgb": torch.zeros(1, 3, tile, tile), "ndsm": torch.zeros(1, 1, tile, tile)}
    encoded = network.encode(images, complete(images))
    alive = meter.operations(lambda: network(images, complete(images)), attention=False) / 1e9
    dead = meter.operations(lambda: [network.auxiliary[sensor](levels) for sensor, levels in encoded.levels.items()]) / 1e9
    assert alive <= most and alive + dead == pytest.approx(original, abs=0.05)


@torch.no_grad()
@pytest.mark.parametrize(("tile", "gain"), [(256, 0.54), (512, 0.16)])
def test_class_attention_does_next_to_nothing_at_the_start_and_its_gain_depends_on_the_size(tile, gain):
    """The published defect: no position weighs much more than 1 / (h w), and the next normalisation's epsilon is not nothing."""
    network = published(tile)
    images = {"rgb": torch.randn(1, 3, tile, tile), "ndsm": torch.randn(1, 1, tile, tile)}
    fused, _ = network.branches[0].fusion(*network.encode(images, complete(images)).levels.values())
    scores = network.branches[0].attention(fused[-1])
    weight = torch.softmax(scores.flatten(2), 2).view_as(scores)
    assert scores.std(1).mean() < 0.05 and weight.max() * weight[0, 0].numel() < 1.2
    assert group_norm(weight[:, :1] * fused[-1], 1).std() == pytest.approx(gain, abs=0.04)


def test_the_encoder_and_its_decoder_are_those_of_the_authors():
    torch.manual_seed(0)
    encoder, decoder = Encoder(3, 4).double().eval(), AuxiliaryDecoder(4, 5).double().eval()
    down, up, image = encoder.down, decoder.up, torch.randn(2, 3, 32, 32).double()
    for module in (*encoder.norm[1:3], *decoder.norm):
        nn.init.normal_(module.running_mean)
    first = down[0](image)
    second = encoder.norm[1](down[1](leaky_relu(first, 0.2)))
    third = encoder.norm[2](down[2](leaky_relu(second, 0.2)))
    fourth = down[3](leaky_relu(third, 0.2))
    for found, by_hand in zip(encoder(image), (first, second, third, fourth), strict=True):
        assert_close(found, by_hand)
    x = torch.cat([decoder.norm[0](up[0](relu(fourth))), third], 1)
    x = torch.cat([decoder.norm[1](up[1](relu(x))), second], 1)
    x = torch.cat([decoder.norm[2](up[2](relu(x))), first], 1)
    assert_close(decoder([first, second, third, fourth]), up[3](relu(x)))


def test_each_level_is_fused_by_three_convolutions_and_the_finer_one_is_added():
    torch.manual_seed(0)
    fusion = Fusion(4, 32).double().eval()
    a, b = ([torch.randn(1, 4 * 2**level, 16 // 2**level, 16 // 2**level).double() for level in range(4)] for _ in range(2))
    fused, token = fusion(a, b)
    for level, join in enumerate(fusion.join):
        x = torch.cat([a[level], b[level]], 1)
        for conv, padding in ((join[0].conv, 0), (join[1].conv, 1), (join[2].conv, 0)):
            x = conv2d(leaky_relu(layer_norm(x, x.shape[1:]), 0.2), conv.weight, conv.bias, padding=padding)
        if level:
            bring, norm = fusion.bring[level - 1]
            x = x + norm(conv2d(fused[level - 1], bring.weight, bring.bias, stride=2, padding=1))
        assert_close(fused[level], x)
    weight = torch.softmax(fusion.pool.score(fused[2].flatten(2).transpose(1, 2)), 1)
    above = fusion.project((fused[2].flatten(2) @ weight).squeeze(2))
    tokens = [x[3].flatten(2).transpose(1, 2) + table for x, table in zip((a, b), fusion.positions, strict=True)]
    sequence = torch.cat([fusion.token, *tokens, above[:, None]], 1)
    for layer in fusion.layers:
        sequence = layer(sequence)
    first, second = (part.transpose(1, 2).unflatten(2, (2, 2)) for part in (sequence[:, 1:5], sequence[:, 5:9]))
    assert_close(fused[3], fusion.unify(torch.cat([first, second], 1)))
    assert_close(token, sequence[:, 0])


def test_the_decoder_follows_each_class_by_itself_and_mixes_them_at_full_size():
    torch.manual_seed(0)
    decoder = ClasswiseDecoder(4, 3, 0).double()
    fused = [torch.randn(2, 4 * 2**level, 16 // 2**level, 16 // 2**level).double() for level in range(4)]
    scores = torch.randn(2, 3, 2, 2).double()
    logits, scales, penultimate = decoder(scores, fused[3], fused)
    brought = []
    for k in range(3):
        x = torch.softmax(scores[:, k].flatten(1), 1).view(2, 1, 2, 2) * fused[3]
        for level, heads in enumerate(decoder.heads):
            if level:
                x = decoder.rise[level - 1](double_size(x))
                x = decoder.merge[level - 1](torch.cat([fused[3 - level], x], 1))
            assert_close(scales[level][:, k], heads.conv.bias[k] + (x * heads.conv.weight[k]).sum(1))
        brought.append(double_size(x))
    assert_close(penultimate, decoder.mix(torch.cat(brought, 1)))
    assert_close(logits, decoder.classify(penultimate))


def double_size(x):
    """Bilinear, corners on corners, by matrices."""
    side = x.shape[-1]
    at = torch.arange(2 * side).double() * (side - 1) / (2 * side - 1)
    weight = (1 - (at[:, None] - torch.arange(side)).abs()).clamp_min(0)
    return weight @ x @ weight.T


def test_normalisation_is_that_of_the_authors_over_channels_and_positions():
    """Their layer for three dimensions takes a batch of maps for one volume, the batch for its channels."""
    torch.manual_seed(0)
    block, x = PreNorm(6, 5, 3, "reflect").double(), 3 * torch.randn(4, 6, 7, 8).double() + 1
    theirs = leaky_relu(nn.InstanceNorm3d(4)(x), 0.2)
    padded = pad(theirs, (1, 1, 1, 1), mode="reflect")
    assert_close(block(x), conv2d(padded, block.conv.weight, block.conv.bias))


def test_the_transformer_is_the_one_of_the_library_that_the_authors_use():
    torch.manual_seed(0)
    mine = Transformer(32).double().eval()
    theirs = nn.TransformerEncoderLayer(32, 8, 32, dropout=0.1, batch_first=True).double().eval()
    parts = {"self_attn.in_proj_": "qkv.", "self_attn.out_proj.": "out.", "linear1.": "widen.", "linear2.": "narrow."}
    parts |= {"norm1.": "between.", "norm2.": "after."}
    for parameter in mine.parameters():
        nn.init.normal_(parameter)
    told = mine.state_dict()
    theirs.load_state_dict({f"{a}{kind}": told[f"{b}{kind}"] for a, b in parts.items() for kind in ("weight", "bias")})
    tokens = torch.randn(2, 9, 32).double()
    assert_close(mine(tokens), theirs(tokens))


def test_without_a_tile_it_cannot_be_built():
    with pytest.raises(UserError, match="model.tile: missing"):
        build("paper", BOTH, CLASSES, TINY.model_copy(update={"tile": None}))
