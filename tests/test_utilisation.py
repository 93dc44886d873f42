"""How busy workers were said to be."""

from harness.driver.utilisation import Utilisation
from harness.engines.contract import End, Ended


def test_shares_are_of_the_whole_time_and_of_all_tasks() -> None:
    now = iter([0.0, 1.0, 2.0, 4.0, 5.0, 9.0, 10.0])
    busy = Utilisation(("a", "b"), lambda: next(now))
    busy.given(0)  # at 1
    busy.given(1)  # at 2
    busy.ended(Ended(0, "a", End.DONE))  # at 4
    busy.given(2)  # at 5
    busy.ended(Ended(2, "a", End.DIED))  # at 9
    assert busy.sentence() == "Workers: a 70%, b 0% busy of 10 s."


def test_a_single_worker_is_not_spoken_of() -> None:
    assert Utilisation(("cpu:0",)).sentence() == ""
