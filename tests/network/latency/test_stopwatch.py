"""Runs that are timed take turns, by a clock that is given."""

import torch
from torch import nn

from l0bayes.network import network_times, run_times
from l0bayes.network.latency.stopwatch import clock_of_runs, threads_for


class Clock:
    """Goes on by what is run."""

    def __init__(self):
        self.now, self.order = 0.0, []

    def __call__(self):
        return self.now

    def run(self, name, seconds):
        def work():
            self.order.append(name)
            self.now += seconds

        return work


def test_runs_take_turns_and_the_median_counts():
    clock = Clock()
    slow = iter([9.0, 9.0, 1.0, 1.0, 7.0, 1.0])

    def uneven():
        clock.order.append("b")
        clock.now += next(slow)

    assert run_times([clock.run("a", 2.0), uneven], clock=clock, seconds=0.0) == [2.0, 1.0]
    # Once to begin with, once before the first turn, three times measured.
    assert clock.order == ["a", "b", "a", "a", "b", "b", "a", "b", "a", "b"]


def test_time_and_number_of_runs_are_limited():
    clock = Clock()
    run_times([clock.run("a", 1.0)], clock=clock, seconds=10.0, rounds=1000)
    assert len(clock.order) == 12
    run_times([clock.run("b", 1.0)], clock=clock, seconds=1e6, rounds=20)
    assert clock.order.count("b") == 22


def test_short_runs_follow_one_of_their_own():
    clock = Clock()
    run_times([clock.run("a", 1e-3), clock.run("b", 1e-3)], clock=clock, seconds=1e-6)
    assert clock.order == ["a", "b", *"aabb" * 3]


def test_networks_are_run_as_for_predictions_and_left_as_they_were():
    net = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5)).train()
    wrong = nn.Linear(5, 3)
    times = network_times([net, wrong], (torch.rand(2, 4),), seconds=0.001)
    assert times[0] > 0
    assert times[1] is None
    assert net.training
    assert net[1].training


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with threads_for(1):
        assert torch.get_num_threads() == 1
        assert clock_of_runs() is not None
    assert torch.get_num_threads() == before
