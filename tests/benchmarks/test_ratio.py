import json

from benchmarks.ratio import Ratio, interleaved, write_ratios


def test_a_goal_is_a_floor_or_a_ceiling_and_is_met_at_its_edge():
    def met(value: float, at_least: bool) -> bool:
        return Ratio("a against b", value, goal=3, at_least=at_least).met

    assert [met(value, True) for value in (2.9, 3, 3.1)] == [False, True, True]
    assert [met(value, False) for value in (2.9, 3, 3.1)] == [True, True, False]


def test_a_ratio_says_its_goal_and_is_written_with_its_figures(tmp_path):
    ratio = Ratio("no-op", 2.5, 2, at_least=False, unit="s", figures={"median of 3, s": 2.5})
    assert str(ratio) == "no-op: 2.50 s (goal: at most 2 s, not met)"
    write_ratios(tmp_path / "ratios.json", [ratio])
    (written,) = json.loads((tmp_path / "ratios.json").read_text())
    assert written == {
        "what": "no-op",
        "value": 2.5,
        "goal": 2,
        "at_least": False,
        "unit": "s",
        "figures": {"median of 3, s": 2.5},
        "met": False,
    }


def test_what_is_interleaved_is_called_in_turn_after_one_unmeasured_call_of_each():
    called: list[str] = []
    seconds = interleaved(2, a=lambda: called.append("a"), b=lambda: called.append("b"))
    assert called == ["a", "b"] * 3
    assert set(seconds) == {"a", "b"}
    assert all(value >= 0 for value in seconds.values())
