"""Networks that continue windows."""

import dataclasses

import pytest
import torch

from training import forecasters
from training.bands import Settled
from training.forecasters import Deployed, Forecaster, Plan, Removed

PLAN = Plan(core="segments", context=24, horizon=7, columns=2, quantiles=(0.1, 0.5, 0.9), units=8, segment=6, period=6)
CORES = [
    {"core": "segments"},
    {"core": "segments", "cell": "lstm", "segment": 5},
    {"core": "linear"},
    {"core": "seq2seq", "level": "none"},
    {"core": "seq2seq", "cell": "lstm", "level": "standard", "detrend": True},
    {"core": "seq2seq", "cell": "rnn", "level": "mean", "season": 6},
]


def built(**options):
    torch.manual_seed(0)
    return Forecaster(dataclasses.replace(PLAN, **options), [1.0, 100.0], [2.0, 50.0])


def raw(rows=3, time=24):
    return torch.randn(rows, time, 2, generator=torch.Generator().manual_seed(1)) * torch.tensor([2.0, 50]) + torch.tensor(
        [1.0, 100]
    )


@pytest.mark.parametrize("options", CORES, ids=str)
def test_each_core_answers_every_step_and_column_and_its_quantiles_do_not_cross(options):
    mean, apart = built(**options).eval().answers(raw())
    assert mean.shape == (3, 2, 7)
    assert apart.shape == (3, 2, 7, 3)
    assert (apart.diff(dim=-1) > 0).all()


@pytest.mark.parametrize("options", CORES, ids=str)
def test_the_loss_is_one_a_row_and_moves_every_weight(options):
    network = built(**options)
    losses = network(raw(), raw(time=7))
    losses.mean().backward()
    assert losses.shape == (3,)
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name


@pytest.mark.parametrize("core", ["segments", "linear"])
def test_columns_are_forecast_each_from_itself_alone(core):
    network, one, other = built(core=core).eval(), raw(), raw()
    other[:, :, 1] = 7
    assert torch.allclose(network.answers(one)[0][:, 0], network.answers(other)[0][:, 0], atol=1e-6)


@pytest.mark.parametrize("level", ["last", "mean"])
def test_a_level_that_is_taken_off_comes_back(level):
    network = built(level=level).eval()
    mean, apart = network.answers(raw())
    moved_mean, moved_apart = network.answers(raw() + torch.tensor([6.0, 150]))
    assert torch.allclose(moved_mean, mean + 3, atol=1e-4)
    assert torch.allclose(moved_apart, apart, atol=1e-4)


def test_a_line_and_a_season_are_taken_off_and_go_on():
    time = torch.arange(31.0)
    series = 0.5 * time + 3 + torch.tensor([0.0, 2, -1, 4, 0, 1])[(time % 6).long()]
    plan = dataclasses.replace(PLAN, level="none", detrend=True, season=6)
    rest, back, scale = Removed(plan)(series[None, :24])
    assert rest.abs().max() < 0.35  # four seasons bend a line a little
    assert (back - series[None, 24:]).abs().max() < 0.5
    assert (scale == 1).all()


@pytest.mark.parametrize("series", [torch.full((1, 24, 2), 5.0), torch.full((1, 24, 2), 1e30), torch.full((1, 24, 2), -1e30)])
@pytest.mark.parametrize("options", CORES, ids=str)
def test_constant_and_enormous_windows_get_finite_answers(options, series):
    for answer in Deployed(built(**options).eval(), None, settled(0.0)).eval()(series):
        assert answer.isfinite().all()


def settled(share):
    return Settled(share, torch.ones(7), torch.ones(7))


def test_the_deployed_mean_is_of_both_forecasts_in_raw_units():
    network = built().eval()
    repeat = torch.zeros(2, 24, 7)
    repeat[:, -1] = 1
    for share in (0.0, 0.5, 1.0):
        mean, quantiles = Deployed(network, repeat, settled(share)).eval()(raw())
        core, apart = network.answers(raw())
        last = raw()[:, -1:].expand(-1, 7, -1)
        wanted = share * last + (1 - share) * (core.transpose(1, 2) * torch.tensor([2.0, 50]) + torch.tensor([1.0, 100]))
        assert torch.allclose(mean, wanted, atol=1e-3)
        assert torch.allclose((quantiles[..., 1] - mean)[..., 0], apart[:, 0, :, 1] * 2, atol=1e-3)


def test_a_decoder_is_fed_the_truth_at_first_and_its_own_forecasts_more_and_more():
    core = built(core="seq2seq", scheduled=True).core
    truth = torch.zeros(3, 2, 7)
    early = torch.stack([core._forced(truth) for _ in range(50)]).float().mean()
    core.fed += 20 * forecasters.SAMPLING
    late = torch.stack([core._forced(truth) for _ in range(50)]).float().mean()
    assert (early.item(), late.item()) == (pytest.approx(1, abs=0.1), 0)
    assert core.eval()._forced(truth) is None


def test_the_decoder_is_the_cell_it_is_made_of():
    core = built().core
    state = torch.randn(3, 2, 1, 8)
    asked = torch.cat([core.place[None].expand(2, -1, -1), core.column[:, None].expand(-1, core.ahead, -1)], 2)
    for segment in range(core.ahead):
        wanted = core.decoder(asked[1, segment].expand(3, -1), state[:, 1, 0])
        assert torch.allclose(core._decoded(state)[:, 1, segment], wanted, atol=1e-6)


def test_the_last_value_is_taken_off_as_the_maps_say():
    removed, x = Removed(PLAN), torch.randn(5, 24)
    rest, back, _ = removed(x)
    assert torch.allclose(rest, x @ removed.off, atol=1e-6)
    assert torch.allclose(back.expand(-1, 7), x @ removed.back, atol=1e-6)


def test_a_window_that_repeats_itself_has_the_band_of_a_calm_one():
    network, still = built(), torch.zeros(1, 24, 2)
    network.eval().meet(raw(200))
    calm = network.calm.clone()
    assert (calm > 0.3).all()
    _, apart = network.answers(still)
    network.calm.mul_(2)
    assert torch.allclose(network.answers(still)[1], 2 * apart, atol=1e-5)


def test_what_is_settled_widens_each_side_of_the_bands():
    network = built().eval()
    plain = Deployed(network, None, settled(0.0)).eval()(raw())[1]
    wider = Deployed(network, None, Settled(0.0, torch.full((7,), 2.0), torch.full((7,), 3.0))).eval()(raw())[1]
    assert torch.allclose(wider[..., 1], plain[..., 1])
    assert torch.allclose(wider[..., 1] - wider[..., 0], 2 * (plain[..., 1] - plain[..., 0]), rtol=1e-3)
    assert torch.allclose(wider[..., 2] - wider[..., 1], 3 * (plain[..., 2] - plain[..., 1]), rtol=1e-3)


def test_what_a_decoder_is_fed_changes_what_it_says_next():
    x, truth = torch.randn(3, 2, 24), torch.randn(3, 2, 7)
    for scheduled in (True, False):
        core = built(core="seq2seq", scheduled=scheduled).core
        one, other = core(x, truth), core(x, truth + 5)
        assert torch.equal(one[:, :, 0], other[:, :, 0])
        assert torch.allclose(one, other) != scheduled
