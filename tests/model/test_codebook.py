"""Codebook rules against brute force and by hand."""

import itertools

import pytest
import torch

from s2nn.hw.spec.errors import ConfigError
from s2nn.model.codebook import Codebook, assign, pattern_of, sign, signs_of
from s2nn.model.codewords import fit_codewords, medoid_codewords


def make(eta=3, **options):
    return Codebook(eta=eta, generator=torch.Generator().manual_seed(0), **options)


def test_patterns_and_signs_are_inverse_for_all_512():
    patterns = torch.arange(512)
    assert torch.equal(pattern_of(signs_of(patterns)), patterns)
    assert signs_of(torch.tensor([0b000000110]))[0].tolist() == [-1, 1, 1, -1, -1, -1, -1, -1, -1]


def test_assignment_is_the_nearest_codeword():
    generator = torch.Generator().manual_seed(2)
    w, codewords = torch.randn(200, 9, generator=generator), signs_of(torch.randperm(512, generator=generator)[:16])
    distance = ((w[:, None] - codewords[None]) ** 2).sum(dim=2)
    assert torch.equal(assign(w, codewords), distance.argmin(dim=1))


@pytest.mark.parametrize("eta", [2, 3, 4, 5, 6])
def test_random_codewords_are_distinct(eta):
    assert len(set(pattern_of(make(eta).codewords).tolist())) == 2**eta


@pytest.mark.parametrize("eta", [1, 7])
def test_eta_outside_2_to_6_is_refused(eta):
    with pytest.raises(ConfigError, match="eta must be one of 2, 3, 4, 5, 6, not"):
        make(eta)


def test_fitted_codewords_are_distinct_and_beat_every_single_exchange_of_start_patterns():
    generator = torch.Generator().manual_seed(4)
    w = torch.randn(400, 9, generator=generator)
    fitted = fit_codewords(w, 8)
    assert len(set(pattern_of(fitted).tolist())) == 8

    def score(codewords):
        return (w @ codewords.T).amax(dim=1).sum().item()

    frequent = torch.bincount(pattern_of(sign(w)), minlength=512).argsort(descending=True)[:8]
    assert score(fitted) > score(signs_of(frequent))
    assert torch.equal(fitted, fit_codewords(w, 8))


def test_fitting_recovers_planted_codewords():
    planted = signs_of(torch.tensor([5, 100, 300, 511]))
    w = planted.repeat_interleave(10, dim=0) * 0.3
    assert set(pattern_of(fit_codewords(w, 4)).tolist()) == {5, 100, 300, 511}


def test_gradient_passes_straight_through_and_sums_into_the_latents():
    book = make(eta=2, period=3)
    w = torch.tensor([[0.5] * 9, [0.6] * 9, [-2.0] * 9], requires_grad=True)
    for step, reaches in ((0, True), (1, False), (2, False), (3, True)):
        book.begin_step(step)
        w.grad = book.latent.grad = None
        weight = torch.arange(27.0).reshape(3, 9)
        (book(w) * weight).sum().backward()
        assert torch.equal(w.grad, weight * torch.tensor([[1.0], [1.0], [0.0]]))  # |w| > 1 is cut off
        if reaches:
            expected = torch.zeros(4, 9).index_add_(0, book.index(w), weight)
            assert torch.equal(book.latent.grad, expected)
        else:
            assert book.latent.grad is None


def test_a_sign_turns_only_beyond_the_hysteresis():
    book = make(eta=2)
    book.begin_step(0)
    book.set_codewords(signs_of(torch.tensor([511, 0, 1, 2])))
    with torch.no_grad():
        book.latent[0, 0], book.latent[0, 1] = -0.9e-3, -1.1e-3
        book.latent[1, 8] = 7.0
    book.update(torch.Generator().manual_seed(0))
    assert book.codewords[0].tolist() == [1, -1, 1, 1, 1, 1, 1, 1, 1]
    assert book.latent[1, 8] == 3.0  # clamped


def test_equal_codewords_are_replaced_by_unused_ones():
    book = make(eta=2, latent_scale=0.2)
    book.begin_step(0)
    book.set_codewords(signs_of(torch.tensor([7, 9, 7, 7])))
    assert book.update(torch.Generator().manual_seed(1)) == 2
    patterns = pattern_of(book.codewords).tolist()
    assert patterns[:2] == [7, 9] and len(set(patterns)) == 4
    assert torch.equal(book.latent, book.codewords * 0.2)


def test_state_remembers_whether_the_codebook_runs():
    book, other = make(started=False), make()
    assert not book.is_running
    other.load_state_dict(book.state_dict())
    assert not other.is_running
    book.start(signs_of(torch.arange(8)))
    other.load_state_dict(book.state_dict())
    assert other.is_running and torch.equal(other.codewords, book.codewords)


def cost(patterns, medoids):
    return sum(min(bin(p ^ m).count("1") for m in medoids) for p in patterns)


def test_medoids_of_a_small_set_are_the_best_of_all_choices():
    generator = torch.Generator().manual_seed(3)
    patterns = (torch.randint(0, 7, (60,), generator=generator) * 37 % 512).tolist()
    found = pattern_of(medoid_codewords(signs_of(torch.tensor(patterns)), 3)).tolist()
    best = min(cost(patterns, chosen) for chosen in itertools.combinations(set(patterns), 3))
    assert cost(patterns, found) == best


@pytest.mark.parametrize("count", [4, 16])
def test_no_single_exchange_of_a_medoid_helps(count):
    generator = torch.Generator().manual_seed(8)
    patterns = (torch.randn(400, generator=generator).abs() * 90).long().clamp(max=511).tolist()
    found = pattern_of(medoid_codewords(signs_of(torch.tensor(patterns)), count)).tolist()
    assert len(set(found)) == count and set(found) <= set(patterns)
    total = cost(patterns, found)
    frequent = torch.bincount(torch.tensor(patterns)).argsort(descending=True)[:count].tolist()
    assert total < cost(patterns, frequent)
    for i in range(count):
        for candidate in sorted(set(patterns))[:: 7 if count > 4 else 1]:
            assert cost(patterns, [*found[:i], candidate, *found[i + 1 :]]) >= total


def test_medoids_fill_up_with_unused_patterns():
    found = pattern_of(medoid_codewords(signs_of(torch.tensor([9, 9, 300])), 4)).tolist()
    assert len(set(found)) == 4 and {9, 300} <= set(found)


def test_sign_of_zero_is_plus_one():
    assert sign(torch.tensor([0.0, -0.0, 1e-30, -1e-30])).tolist() == [1, 1, 1, -1]


def test_fit_repairs_clusters_that_merge():
    rows = [list(signs) for signs in itertools.islice(itertools.product((-1.0, 1.0), repeat=9), 3)]
    fitted = fit_codewords(torch.tensor(rows), 8)  # fewer kernels than codewords
    assert len(set(pattern_of(fitted).tolist())) == 8
