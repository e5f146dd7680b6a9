"""FlashVSR's networks: published tensors, the specification's formulas, and exact streaming."""

import hashlib
import math

import pytest
import torch
import torch.nn.functional as F

from stereoreel.nets import flashvsr, flashvsr_decoder, flashvsr_projector, wan_vae
from tests.support import flashvsr_nets as tiny


def table(net):
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in net().state_dict().items()}


def test_transformer_has_the_published_tensors():
    """The original identifies the 1.3B layout by this hash of sorted names with and without shapes."""
    shapes = table(flashvsr.WanDiT)
    words = sorted([f"{name}:{'_'.join(map(str, shape))}" for name, shape in shapes.items()] + list(shapes))
    assert hashlib.md5(",".join(words).encode()).hexdigest() == "9269f8db9040a9d860eaca435be61814"
    assert len(shapes) == 825 and sum(map(math.prod, shapes.values())) == 1_418_996_800


def test_projector_has_the_published_tensors():
    assert table(flashvsr_projector.Projector) == {
        "conv1.weight": (2048, 768, 4, 3, 3),
        "conv1.bias": (2048,),
        "norm1.gamma": (2048, 1, 1, 1),
        "conv2.weight": (3072, 2048, 4, 3, 3),
        "conv2.bias": (3072,),
        "norm2.gamma": (3072, 1, 1, 1),
        "linear_layers.0.weight": (1536, 3072),
        "linear_layers.0.bias": (1536,),
    }


def test_decoders_have_the_published_tensors():
    shapes = table(flashvsr_decoder.TCDecoder)
    assert len(shapes) == 66 and sum(map(math.prod, shapes.values())) == 45_338_371
    some = {
        "1.weight": (512, 784, 3, 3),
        "3.weight": (512, 512, 3, 3),
        "7.conv.0.weight": (512, 1024, 3, 3),
        "9.conv.weight": (512, 512, 1, 1),
        "10.weight": (256, 512, 3, 3),
        "15.conv.weight": (512, 256, 1, 1),
        "21.conv.weight": (256, 128, 1, 1),
        "26.bias": (3,),
    }
    assert some.items() <= {name.removeprefix("decoder."): shape for name, shape in shapes.items()}.items()
    full = table(wan_vae.WanDecoder)
    assert sum(map(math.prod, full.values())) == 73_295_603
    assert full["decoder.upsamples.3.time_conv.weight"] == (768, 384, 3, 1, 1)
    assert full["decoder.upsamples.4.shortcut.weight"] == (384, 192, 1, 1, 1)


@pytest.mark.parametrize(
    "load", [flashvsr.load, flashvsr_projector.load, flashvsr_decoder.load, wan_vae.load]
)
def test_other_networks_are_refused(load):
    with pytest.raises(ValueError, match=r"^[^.]+.*\.$"):
        load({"conv_first.weight": torch.zeros(3)})


def by_the_formulas(state, prompt, noise, features):
    """Compute a first chunk with dense attention, from the specification, without heads or windows."""

    def linear(x, name):
        return F.linear(x, state[name + ".weight"], state[name + ".bias"])

    def rms(x, name):
        return x * (x.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt() * state[name + ".weight"]

    def norm(x):
        return F.layer_norm(x, x.shape[-1:], eps=1e-6)

    def attend(q, k, v):
        q, k, v = (one.unflatten(-1, (-1, 128)).transpose(0, 1) for one in (q, k, v))
        return ((q @ k.mT / math.sqrt(128)).softmax(-1) @ v).transpose(0, 1).flatten(1)

    def rotate(x, grid):
        turned = torch.view_as_complex(x.double().view(len(x), -1, 64, 2)) * grid[:, None]
        return torch.view_as_real(turned).flatten(1).float()

    angle = 1000 * 10000 ** -(torch.arange(32).double() / 32)
    time = linear(
        F.silu(linear(torch.cat([angle.cos(), angle.sin()]).float(), "time_embedding.0")), "time_embedding.2"
    )
    turns = linear(F.silu(time), "time_projection.1").view(6, -1)
    text = linear(F.gelu(linear(prompt[0], "text_embedding.0"), approximate="tanh"), "text_embedding.2")
    x = F.conv3d(
        noise.transpose(0, 1)[None], state["patch_embedding.weight"], state["patch_embedding.bias"], (1, 2, 2)
    )[0]
    _, frames, height, width = x.shape
    x = x.flatten(1).T + features.flatten(0, 2)
    places = torch.cartesian_prod(*(torch.arange(count).double() for count in (frames, height, width)))
    speeds = [10000 ** -(torch.arange(0, count, 2).double() / count) for count in (44, 42, 42)]
    grid = torch.cat([torch.outer(places[:, axis], speed) for axis, speed in enumerate(speeds)], -1)
    grid = torch.polar(torch.ones_like(grid), grid)
    for number in range(tiny.FAMILY.blocks):
        at = f"blocks.{number}."
        s1, c1, g1, s2, c2, g2 = state[at + "modulation"][0] + turns
        y = norm(x) * (1 + c1) + s1
        q, k = (
            rotate(rms(linear(y, f"{at}self_attn.{one}"), f"{at}self_attn.norm_{one}"), grid) for one in "qk"
        )
        x = x + g1 * linear(attend(q, k, linear(y, at + "self_attn.v")), at + "self_attn.o")
        y = F.layer_norm(x, x.shape[-1:], state[at + "norm3.weight"], state[at + "norm3.bias"], 1e-6)
        q, k = (
            rms(linear(y, at + "cross_attn.q"), at + "cross_attn.norm_q"),
            rms(linear(text, at + "cross_attn.k"), at + "cross_attn.norm_k"),
        )
        x = x + linear(attend(q, k, linear(text, at + "cross_attn.v")), at + "cross_attn.o")
        x = x + g2 * linear(
            F.gelu(linear(norm(x) * (1 + c2) + s2, at + "ffn.0"), approximate="tanh"), at + "ffn.2"
        )
    shift, scale = state["head.modulation"][0] + time
    y = linear(norm(x) * (1 + scale) + shift, "head.head").view(frames, height, width, 2, 2, 16)
    return noise - torch.einsum("thwyxc->tchywx", y).reshape(noise.shape)


@torch.inference_mode()
def test_folded_transformer_follows_the_formulas():
    torch.manual_seed(5)
    noise, features = torch.randn(6, 16, 16, 32), torch.randn(6, 8, 16, 256)
    net = tiny.folded()
    turned = flashvsr.Angles(8, 16, torch.device("cpu"))(0, 6)
    made = net(
        noise,
        flashvsr.windowed(features),
        turned,
        lambda block, q, k, v: F.scaled_dot_product_attention(q, k, v),
    )
    wanted = by_the_formulas(tiny.dit_state(), tiny.prompt(), noise, features)
    torch.testing.assert_close(made, wanted, atol=1e-4, rtol=1e-4)


def test_unused_text_and_time_tensors_are_dropped():
    published = sum(tensor.numel() for tensor in tiny.dit_state().values())
    kept = sum(tensor.numel() for tensor in tiny.folded().state_dict().values())
    width = tiny.FAMILY.width
    # keys and values of the text, at the least
    assert kept < published - tiny.FAMILY.blocks * 2 * width * width


def test_windows_are_two_frames_of_eight_by_eight_and_invertible():
    frames, height, width = 4, 16, 24
    grid = torch.stack(
        torch.meshgrid(*(torch.arange(count) for count in (frames, height, width)), indexing="ij"), -1
    )
    rows = flashvsr.windowed(grid)
    order = [
        (t, y, x, a, b, c)
        for t in range(2)
        for y in range(2)
        for x in range(3)
        for a in range(2)
        for b in range(8)
        for c in range(8)
    ]
    assert rows.tolist() == [[2 * t + a, 8 * y + b, 8 * x + c] for t, y, x, a, b, c in order]
    assert flashvsr.unwindowed(rows, frames, height, width).equal(grid)


def test_angles_are_exact_after_a_hundred_thousand_frames():
    cos, sin = flashvsr.Angles(8, 8, torch.device("cpu"))(25_000, 2)
    speed = 10000 ** -(torch.arange(0, 44, 2).double() / 44)
    torch.testing.assert_close(cos[0, :22].double(), (25_000 * speed).cos(), atol=1e-7, rtol=0)
    torch.testing.assert_close(sin[64, :22].double(), (25_001 * speed).sin(), atol=1e-7, rtol=0)


def clips_by_conv3d(state, frames, causal):
    """Compute the projector clip by clip, as specified: [clips, h, w, channels]."""

    def stage(x, history, number):
        x = torch.cat([history, x], 1)
        x = F.pad(x[None], (1, 1, 1, 1, 0, 0), "replicate")
        x = F.conv3d(x, state[f"conv{number}.weight"], state[f"conv{number}.bias"], (2, 1, 1))[0]
        return F.silu(F.normalize(x, dim=0) * len(x) ** 0.5 * state[f"norm{number}.gamma"])

    x = F.pixel_unshuffle(torch.cat([frames[:1].repeat(3, 1, 1, 1), frames]), 16).transpose(0, 1)
    first, second, made = x[:, :1].repeat(1, 2, 1, 1), None, []
    for number, clip in enumerate(x.split(4, 1)):
        y = stage(clip, first if causal else clip[:, -2:], 1)
        if number:
            z = stage(y, second if causal else y, 2)
            made.append(
                F.linear(z.movedim(0, -1), state["linear_layers.0.weight"], state["linear_layers.0.bias"])
            )
        first, second = clip[:, -2:], y
    return torch.cat(made)


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize("causal", [True, False])
@torch.inference_mode()
def test_projector_streams_by_either_rule(causal, stacked):
    torch.manual_seed(6)
    frames = torch.rand(25, 3, 32, 48) * 2 - 1
    net = tiny.projector(causal, stacked)
    wanted = clips_by_conv3d(tiny.projector_state(), frames, causal)
    torch.testing.assert_close(net(frames, None)[0], wanted, atol=1e-4, rtol=1e-4)
    made, history = [], None
    for part in frames.split([9, 8, 4, 4]):
        feature, history = net(part, history)
        made.append(feature)
    torch.testing.assert_close(torch.cat(made), wanted, atol=1e-4, rtol=1e-4)


def test_rules_differ():
    frames = torch.rand(9, 3, 16, 16)
    with torch.inference_mode():
        assert not torch.allclose(
            tiny.projector(True)(frames, None)[0], tiny.projector(False)(frames, None)[0], atol=1e-2
        )


def step_by_step(state, latents, frames):
    """Run the tiny decoder one latent step after the other, without our optimisations."""

    def conv(x, name, bias=True):
        return F.conv2d(
            x, state[f"decoder.{name}.weight"], state.get(f"decoder.{name}.bias") if bias else None, padding=1
        )

    memory = {}

    def remember(x, place):
        last = memory.get(place, torch.zeros_like(x))
        memory[place] = x
        y = conv(
            F.relu(conv(F.relu(conv(torch.cat([x, last], 1), f"{place}.conv.0")), f"{place}.conv.2")),
            f"{place}.conv.4",
        )
        return F.relu(x + y)

    def level(x, first, grow, times):
        for place in (first, first + 1, first + 2):
            x = remember(x, place)
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        return F.conv2d(x, state[f"decoder.{grow}.conv.weight"]).chunk(times, 1)

    frames, made = torch.cat([frames[:1].repeat(3, 1, 1, 1), frames]), []
    for latent, seen in zip(latents.split(1), frames.split(4)):
        condition = torch.stack(
            [seen[t, c, y::8, x::8] for c in range(3) for t in range(4) for y in range(8) for x in range(8)]
        )
        x = torch.tanh(torch.cat([condition[None], latent], 1) / 3) * 3
        x = F.relu(conv(F.relu(conv(x, 1)), 3))
        for one in level(x, 5, 9, 1):
            for two in level(conv(one, 10), 11, 15, 2):
                for three in level(conv(two, 16), 17, 21, 2):
                    made.append(conv(F.relu(conv(F.relu(conv(three, 22)), 24)), 26))
    return torch.cat(made)[3:]


@pytest.mark.parametrize("joined", [False, True])
@torch.inference_mode()
def test_tiny_decoder_streams_and_equals_single_steps(joined):
    torch.manual_seed(7)
    latents, frames = torch.randn(4, 16, 4, 6), torch.rand(13, 3, 32, 48) * 2 - 1
    net = flashvsr_decoder.load(tiny.decoder_state())
    net = net.joined() if joined else net
    wanted = step_by_step(tiny.decoder_state(), latents, frames)
    assert wanted.std() > 0.05
    torch.testing.assert_close(net(latents, frames, None)[0], wanted, atol=1e-4, rtol=1e-4)
    first, history = net(latents[:1], frames[:1], None)
    rest, _ = net(latents[1:], frames[1:], history)
    torch.testing.assert_close(torch.cat([first, rest]), wanted, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_full_decoder_streams():
    torch.manual_seed(8)
    latents = torch.randn(4, 16, 4, 4)
    net = wan_vae.load(tiny.vae_state())
    whole, _ = net(latents, None)
    assert whole.shape == (13, 3, 32, 32)
    made, history = [], None
    for part in latents.split([1, 1, 2]):
        pictures, history = net(part, history)
        made.append(pictures)
    torch.testing.assert_close(torch.cat(made), whole, atol=1e-5, rtol=0)
    changed, _ = net(torch.cat([latents[:3], latents[3:] + 1]), None)
    # causal: nothing earlier knows
    assert changed[:9].equal(whole[:9]) and not torch.allclose(changed[9:], whole[9:])
