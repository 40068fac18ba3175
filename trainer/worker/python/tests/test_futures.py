"""Work is done once and in order, and its results are kept within a bound."""

import threading

import pytest
from tracegrad_worker import futures
from tracegrad_worker.refusal import Refusal


def test_in_order_and_once():
    done, work = [], futures.Futures()
    ids = [work.submit(lambda n=n: done.append(n) or {"n": n}, ("m", n), "d") for n in range(50)]
    assert [work.submit(lambda: done.append("again") or {}, ("m", n), "d") for n in range(50)] == ids
    assert [work.result(i, 10) for i in ids] == [(200, b'{"n": %d}' % n) for n in range(50)]
    assert done == list(range(50))
    with pytest.raises(Refusal, match="another request"):
        work.submit(dict, ("m", 3), "other")


def test_waits_and_goes_on():
    gate, work = threading.Event(), futures.Futures()
    first = work.submit(lambda: {"waited": gate.wait(10)})
    assert work.result(first, 0.01)[0] == 408
    gate.set()
    assert work.result(first, 10) == (200, b'{"waited": true}')

    def refuse():
        raise Refusal(400, "no")

    assert work.result(work.submit(refuse), 10) == (400, b'{"detail": "no"}')
    assert work.result(work.submit(lambda: {}["missing"]), 10)[0] == 500
    assert work.result(work.submit(dict), 10) == (200, b"{}")


def test_the_oldest_results_are_forgotten(monkeypatch):
    monkeypatch.setattr(futures, "_KEPT", 1000)
    work = futures.Futures()
    ids = [work.submit(lambda: {"x": "y" * 300}) for _ in range(10)]
    assert work.result(ids[-1], 10)[0] == 200
    work.result(work.submit(dict), 10)  # the one before has been counted
    with pytest.raises(Refusal, match="not found"):
        work.result(ids[0], 10)
    assert work.result(ids[-1], 10)[0] == 200


def test_too_many_wait(monkeypatch):
    monkeypatch.setattr(futures, "_WAITING", 2)
    gate, work = threading.Event(), futures.Futures()
    with pytest.raises(Refusal, match="waiting"):
        for _ in range(9):
            work.submit(lambda: {"waited": gate.wait(10)})
    gate.set()
