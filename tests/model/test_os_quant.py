"""OS-Quant and its alternatives: the paper's example to the digit, and a plain reference kernel by kernel."""

import math
import statistics

import pytest
import torch

from s2nn.hw.spec.errors import ConfigError
from s2nn.model.codebook import Codebook, assign, pattern_of
from s2nn.model.os_quant import (
    AS_PRINTED,
    GRID,
    LINE,
    RULES,
    SCALE_COVARIANT,
    Assignment,
    fences,
    layer_fences,
    neighbour_distance,
    sort9,
)

# Ref: S2NN (arXiv 2509.24266), Fig. 2 and 3, App. D
PAPER_KERNEL = [.8, .7, 5, -.9, -.8, -.7, -.9, -.8, -.9]
RULE_OPTIONS = [Assignment(rule=rule) for rule in RULES] + [
    Assignment(rule=rule, scaling=scaling, detach_omega=detach)
    for rule in ("os_quant", "z_scale") for scaling in (AS_PRINTED, SCALE_COVARIANT) for detach in (False, True)
] + [Assignment(rule="os_quant", gamma=gamma) for gamma in (0, 0.5, 3)] + [Assignment(rule="z_scale", z=0.4)]


def kernels(count, seed, *, dtype=torch.double):
    """Random kernels, a third of them with one large weight."""
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(count, 9, generator=generator, dtype=torch.double) * 0.2
    rows = torch.arange(0, count, 3)
    w[rows, torch.randint(0, 9, (len(rows),), generator=generator)] *= 6
    return w.to(dtype)


def quartiles(values):
    """Medians of the halves, without the median of all."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return statistics.median(ordered[:half]), statistics.median(ordered[-half:])


def neighbours(tap, pairs):
    return [b if a == tap else a for a, b in pairs if tap in (a, b)]


def reference(kernel, options, pairs, layer):
    """w^ of one kernel, a list of nine scalar tensors, written as the paper does; `layer` holds all weights."""
    values = [x.item() for x in kernel]
    q1, q3 = quartiles(layer if options.rule == "layer_clip" else values)
    low, high = q1 - options.gamma * (q3 - q1), q3 + options.gamma * (q3 - q1)
    if options.rule in ("z_clip", "z_scale"):
        mean, std = statistics.mean(values), statistics.pstdev(values)
        low, high = mean - options.z * std, mean + options.z * std
    if options.rule == "nearest":
        return kernel
    if options.rule == "hamming":
        return [x + (math.copysign(1, v) - v) for x, v in zip(kernel, values, strict=True)]
    if "clip" in options.rule:
        return [x if low <= v <= high else x.detach().new_tensor(min(max(v, low), high)) for x, v in
                zip(kernel, values, strict=True)]
    source = [x.detach() for x in kernel] if options.detach_omega else kernel
    omega = [torch.stack([(source[i] - source[j]).abs() for j in neighbours(i, pairs)]).mean() for i in range(9)]
    outliers = {i for i, v in enumerate(values) if not low <= v <= high and omega[i] > 0}
    inliers = [source[i].abs() for i in range(9) if i not in outliers]
    s = torch.stack(inliers).mean() if inliers else 0
    if options.scaling == AS_PRINTED:
        s = 1
    return [x if i not in outliers or s == 0 else x * s / omega[i] for i, x in enumerate(kernel)]


def test_the_papers_example_to_the_digit():
    w = torch.tensor([PAPER_KERNEL], dtype=torch.double)
    ordered = torch.stack(sort9(w.T))[:, 0]
    assert ((ordered[1] + ordered[2]) / 2, (ordered[6] + ordered[7]) / 2) == (pytest.approx(-.9), pytest.approx(.75))
    low, high = fences(w.T, 1.5)
    assert low.item() == pytest.approx(-3.375, abs=1e-12) and high.item() == pytest.approx(3.225, abs=1e-12)
    assert neighbour_distance(w.T, GRID)[2].item() == pytest.approx(5.0, abs=1e-12)
    printed = Assignment(rule="os_quant", scaling=AS_PRINTED).adjust(w)[0].tolist()
    assert printed == pytest.approx([.8, .7, 1.0, *PAPER_KERNEL[3:]], abs=1e-12)
    covariant = Assignment(rule="os_quant").adjust(w)[0].tolist()
    mean_inlier = (.8 + .7 + .9 + .8 + .7 + .9 + .8 + .9) / 8
    assert covariant == pytest.approx([.8, .7, mean_inlier, *PAPER_KERNEL[3:]], abs=1e-12)


@pytest.mark.parametrize("options", RULE_OPTIONS, ids=lambda o: f"{o.rule}-{o.scaling}-{o.detach_omega}-{o.gamma}")
@pytest.mark.parametrize("pairs", [GRID, LINE], ids=["grid", "line"])
def test_values_and_gradients_equal_the_plain_reference(options, pairs):
    w = kernels(30, 3).requires_grad_()
    weight = torch.randn(w.shape, generator=torch.Generator().manual_seed(1), dtype=torch.double)
    actual = options.adjust(w, pairs=pairs)
    (grad,) = torch.autograd.grad((actual * weight).sum(), w)
    expected = torch.stack([torch.stack(reference(list(row), options, pairs, w.flatten().tolist())) for row in w])
    total = (expected * weight).sum()
    (expected_grad,) = torch.autograd.grad(total, w)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(grad, expected_grad, rtol=1e-9, atol=1e-11)
    changed = (actual != w).any(dim=1).double().mean()
    assert options.rule == "nearest" or changed > 0


@pytest.mark.parametrize("options", [o for o in RULE_OPTIONS if o.rule != "hamming" and not o.detach_omega],
                         ids=lambda o: f"{o.rule}-{o.scaling}-{o.gamma}")
def test_gradients_are_the_differences(options):
    w = kernels(12, 5).requires_grad_()
    if options.rule in ("iqr_clip", "z_clip", "layer_clip"):  # fences are constants to the gradient, not to differences
        kept = options.adjust(w) == w
        grad = torch.autograd.grad(options.adjust(w).sum(), w)[0]
        assert torch.equal(grad, kept.double()) and not kept.all()
    else:
        assert torch.autograd.gradcheck(options.adjust, (w,), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-4, 0.3, 700.0])
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "hamming"])
def test_scaling_the_latents_scales_what_is_looked_up(rule, scale):
    w, options = kernels(300, 7), Assignment(rule=rule)
    torch.testing.assert_close(options.adjust(w * scale), options.adjust(w) * scale, rtol=1e-9, atol=0)


def test_as_printed_amplifies_outliers_of_small_latents():
    w = torch.tensor([PAPER_KERNEL], dtype=torch.double) * 1e-3
    assert Assignment(rule="os_quant", scaling=AS_PRINTED).adjust(w)[0, 2].item() == pytest.approx(1.0)
    assert Assignment(rule="os_quant").adjust(w)[0, 2].item() == pytest.approx(0.8125e-3)


def test_os_quant_turns_an_outlier_led_choice():
    """With the large weight the nearest codeword follows it alone; without, the majority's signs."""
    majority = [1.0, 1, -1, -1, -1, -1, -1, -1, -1]
    loud = [-1.0, -1, 1, 1, -1, -1, -1, -1, -1]
    w, codewords = torch.tensor([PAPER_KERNEL]), torch.tensor([majority, loud])
    assert assign(w, codewords).item() == 1
    for scaling in (AS_PRINTED, SCALE_COVARIANT):
        assert assign(Assignment(rule="os_quant", scaling=scaling).adjust(w), codewords).item() == 0


@pytest.mark.parametrize("at_fence", [True, False])
def test_a_weight_on_the_fence_is_no_outlier(at_fence):
    base = [-1.0, -1, -1, -1, 0, 1, 1, 1]  # with the ninth: Q1 = -1, Q3 = 1, upper fence 4
    w = torch.tensor([[*base, 4.0 if at_fence else 4.001]], dtype=torch.double)
    changed = Assignment(rule="os_quant").adjust(w) != w
    assert changed.any().item() != at_fence


def test_kernels_without_spread_or_without_other_weights_stay_finite():
    single = [0.0] * 4 + [3.0] + [0.0] * 4
    w = torch.tensor([[0.0] * 9, [0.5] * 9, single, [1.0, 1.0, *[0.0] * 7]], dtype=torch.double, requires_grad=True)
    for options in RULE_OPTIONS:
        for pairs in (GRID, LINE):
            value = options.adjust(w, pairs=pairs)
            (grad,) = torch.autograd.grad(value.sum(), w)
            assert torch.isfinite(value).all() and torch.isfinite(grad).all(), options
    assert torch.equal(Assignment(rule="os_quant").adjust(w), w)  # s = 0: unchanged


@pytest.mark.parametrize("count", [4, 5, 6, 7, 9, 100])
def test_layer_fences_are_those_of_the_halves(count):
    w = torch.randn(count, 1, generator=torch.Generator().manual_seed(count), dtype=torch.double)
    q1, q3 = quartiles(w.flatten().tolist())
    low, high = layer_fences(w, 1.5)
    assert low.item() == pytest.approx(q1 - 1.5 * (q3 - q1)) and high.item() == pytest.approx(q3 + 1.5 * (q3 - q1))


def test_the_network_sorts_every_pattern_of_zeros_and_ones():
    """The zero-one principle: a network that sorts those sorts everything."""
    patterns = ((torch.arange(512)[:, None] >> torch.arange(9)) & 1).float()
    assert torch.equal(torch.stack(sort9(patterns.T)), patterns.sort(dim=1).values.T)


def test_neighbours_of_grid_and_line():
    assert [len(neighbours(i, GRID)) for i in range(9)] == [2, 3, 2, 3, 4, 3, 2, 3, 2]
    assert sorted(neighbours(4, GRID)) == [1, 3, 5, 7] and sorted(neighbours(2, GRID)) == [1, 5]
    assert [len(neighbours(i, LINE)) for i in range(9)] == [1, 2, 2, 2, 2, 2, 2, 2, 1]


@pytest.mark.parametrize("options", RULE_OPTIONS, ids=lambda o: f"{o.rule}-{o.scaling}-{o.detach_omega}-{o.gamma}")
def test_a_codebook_looks_up_what_the_rule_adjusted_and_gates_on_the_latent(options):
    book = Codebook(eta=4, generator=torch.Generator().manual_seed(2), assignment=options).double()
    w = (kernels(90, 11) * 2).requires_grad_()  # some beyond [-1, 1]
    weight = torch.randn(w.shape, generator=torch.Generator().manual_seed(1), dtype=torch.double)
    out = book(w)
    (grad,) = torch.autograd.grad((out * weight).sum(), w)
    adjusted = options.adjust(w)
    distance = ((book.codewords[None] - adjusted[:, None]) ** 2).sum(dim=2)  # eq. 13, not its short form
    assert torch.equal(out, book.codewords[distance.argmin(dim=1)]) and torch.equal(book.index(w), distance.argmin(1))
    (expected,) = torch.autograd.grad((adjusted * weight).sum(), w)
    torch.testing.assert_close(grad, expected * (w.abs() <= 1), rtol=1e-10, atol=1e-12)
    assert (w.abs() > 1).any() and set(pattern_of(out).tolist()) <= set(pattern_of(book.codewords).tolist())


@pytest.mark.parametrize(("arguments", "text"), [
    ({"rule": "median"}, "rule: must be one of nearest, os_quant"), ({"scaling": "none"}, "scaling: must be"),
    ({"gamma": -0.1}, "gamma: must be at least 0"), ({"z": 3.0}, r"z: must lie between 0 and sqrt\(8\)"),
    ({"z": 0.0}, "z: must lie")])
def test_bad_options_are_refused(arguments, text):
    with pytest.raises(ConfigError, match=text):
        Assignment(**arguments)
