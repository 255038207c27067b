"""The one definition of an option serves flags, TOML keys and Python keywords alike."""

import argparse
from dataclasses import dataclass

import pytest

from textlstm.errors import ConfigError
from textlstm.options import (
    Settings,
    add_flags,
    build,
    differences,
    names_of,
    option,
    reject_unknown,
    resumable_names,
)


@dataclass(frozen=True)
class Kitchen(Settings):
    burners: int = option(4, "how many burners", low=1, high=9)
    heat: float = option(0.5, "share of full heat, 50% say", low=0, high=1)
    fuel: str = option("gas", "what burns", choices=("gas", "wood"))
    hood: bool = option(True, "draw the smoke off")
    cook: str | None = option(None, "who cooks", metavar="NAME")
    dishes: tuple[str, ...] = option((), "what is cooked", metavar="DISH")
    hours: float | None = option(None, "how long", low=0, resumable=True)


def parse(*arguments):
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_flags(parser, Kitchen, "kitchen")
    return vars(parser.parse_args(arguments))


def help_text():
    parser = argparse.ArgumentParser(prog="x")
    add_flags(parser, Kitchen, "kitchen")
    return parser.format_help()


def test_an_option_that_is_absent_takes_its_default():
    assert build(Kitchen, {}) == Kitchen(4, 0.5, "gas", True, None, (), None)


def test_values_of_toml_are_brought_to_the_declared_type():
    kitchen = build(Kitchen, {"heat": 1, "dishes": ["soup", "rice"], "hours": 2})
    assert kitchen.heat == 1.0
    assert isinstance(kitchen.heat, float)
    assert kitchen.dishes == ("soup", "rice")
    assert isinstance(kitchen.hours, float)


def test_a_single_string_counts_as_a_list_of_one():
    assert build(Kitchen, {"dishes": "soup"}).dishes == ("soup",)


def test_settings_are_frozen():
    with pytest.raises(AttributeError):
        build(Kitchen, {}).burners = 2


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("burners", 0, "burners = 0: must be at least 1"),
        ("burners", 10, "burners = 10: must be at most 9"),
        ("burners", "4", "burners = '4': must be a whole number"),
        ("burners", 2.5, "burners = 2.5: must be a whole number"),
        ("burners", True, "burners = True: must be a whole number"),
        ("burners", None, "burners = None: must be a whole number"),
        ("heat", "hot", "heat = 'hot': must be a number"),
        pytest.param("heat", 10**400, "heat = 10+: must be a number", id="beyond floats"),
        ("heat", float("nan"), "heat = nan: must be at least 0"),
        ("fuel", "woood", "fuel = 'woood': must be one of gas, wood .did you mean 'wood'"),
        ("hood", 1, "hood = 1: must be true or false$"),
        ("cook", 7, "cook = 7: must be a string"),
        ("dishes", 7, "dishes = 7: must be a list of strings"),
        ("dishes", ["soup", 7], "dishes = 7: must be a string"),
        ("hours", -1, "hours = -1.0: must be at least 0"),
    ],
)
def test_a_bad_value_is_refused_with_its_name_and_rule(name, value, said):
    with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
        build(Kitchen, {name: value})


def test_the_edges_of_a_range_are_allowed():
    assert build(Kitchen, {"burners": 1, "heat": 1.0}).burners == 1
    assert build(Kitchen, {"burners": 9, "heat": 0.0}).burners == 9


def test_an_unknown_name_is_refused_with_the_closest_known_one():
    with pytest.raises(ConfigError, match=r"'burner' \(did you mean 'burners'\?\)"):
        build(Kitchen, {"burner": 2})


def test_all_unknown_names_are_named_at_once():
    with pytest.raises(ConfigError, match="'qqq', 'zzz'"):
        reject_unknown(["qqq", "heat", "zzz"], names_of(Kitchen))


def test_a_flag_not_given_sets_nothing():
    assert parse() == {}


def test_flags_bear_the_options_name_with_dashes_and_give_typed_values():
    given = parse("--burners", "2", "--heat", "0.25", "--no-hood", "--dishes", "soup", "rice")
    assert given == {"burners": 2, "heat": 0.25, "hood": False, "dishes": ["soup", "rice"]}
    assert build(Kitchen, given).dishes == ("soup", "rice")


def test_a_flag_with_a_word_for_a_number_is_refused():
    with pytest.raises(argparse.ArgumentError, match="invalid whole number value: 'two'"):
        parse("--burners", "two")


def test_help_shows_each_options_help_and_default():
    text = " ".join(help_text().split())
    assert "--burners N how many burners (default: 4)" in text
    assert "--heat X share of full heat, 50% say (default: 0.5)" in text
    assert "--fuel {gas,wood} what burns (default: gas)" in text
    assert "--hood, --no-hood draw the smoke off (default: yes)" in text
    assert "--cook NAME who cooks" in text
    assert "what is cooked" in text


def test_only_the_named_options_get_flags_if_names_are_given():
    parser = argparse.ArgumentParser(prog="x")
    add_flags(parser, Kitchen, "kitchen", only=("heat",))
    assert "--heat" in parser.format_help()
    assert "--burners" not in parser.format_help()


def test_to_dict_gives_what_build_reads_back():
    kitchen = Kitchen(burners=2, dishes=("soup",))
    assert kitchen.to_dict()["dishes"] == ["soup"]
    assert build(Kitchen, kitchen.to_dict()) == kitchen


def test_options_that_may_change_on_resume_are_marked():
    assert resumable_names(Kitchen) == {"hours"}


def test_each_difference_is_one_phrase():
    begun = {"input": {"a.csv": "10 bytes"}, "options": {"burners": 4, "heat": 0.5}, "dishes": []}
    asked = {"input": {"b.csv": "10 bytes"}, "options": {"burners": 2, "heat": 0.5}, "dishes": []}
    assert differences(begun, begun) == []
    assert differences(begun, asked) == [
        "a.csv was 10 bytes and is now absent",
        "b.csv was absent and is now 10 bytes",
        "burners was 4 and is now 2",
    ]
    assert differences({}, {"options": {"burners": 2}}) == ["burners was absent and is now 2"]
    assert differences({"dishes": []}, {"dishes": ["soup", "rice"]}) == [
        "dishes was absent and is now soup, rice"
    ]
    assert differences(begun, asked, ignore={"burners", "a.csv", "b.csv"}) == []
    (long,) = differences({"cook": "x" * 200}, {"cook": None})
    assert long == f"cook was {'x' * 79}… and is now absent"
