"""The clocks and their parting."""

from __future__ import annotations

from meshlib.world.clock import JumpDetector


def test_jump_either_way_is_seen_once() -> None:
    """A suspend shows as the wall clock running ahead; a set clock may go back."""
    now = {"mono": 0.0, "wall": 1000.0}
    detector = JumpDetector(lambda: now["mono"], lambda: now["wall"])
    now.update(mono=5.0, wall=1005.0)
    assert not detector.jumped()
    now.update(mono=10.0, wall=1030.0)
    assert detector.jumped()
    assert not detector.jumped()
    now.update(mono=11.0, wall=1000.0)
    assert detector.jumped()


def test_drift_is_no_jump() -> None:
    """Slow slewing never adds up."""
    now = {"mono": 0.0, "wall": 0.0}
    detector = JumpDetector(lambda: now["mono"], lambda: now["wall"])
    for step in range(100):
        now.update(mono=step * 1.0, wall=step * 6.0)
        assert not detector.jumped()
