"""Paths are read as people mean them, and what is made of them can be a name, or stand in a line."""

from dis2.proposal.words import footprint_of, letters_of, natural, parts_of, place_parts, plain, words_of


def test_paths_are_words_and_capitals_part_them():
    assert words_of("Nord see/S2_b-03.tif") == ["Nord see", "S2", "b", "03"] and words_of("two.mat:a") == ["two", "a"]
    assert parts_of("x/TRLabel_gtTest.png") == ["x", "TR", "Label", "gt", "Test"]
    assert (letters_of("clc2018"), letters_of("2018")) == ("clc", "2018")


def test_footprints_are_named_alike_however_their_numbers_are_padded():
    assert footprint_of(["Süd see", "03"]) == footprint_of(["Sud see", "3"]) == "Sud_see_3"
    assert place_parts(["Süd see", "03"]) == {"Sud", "see", "3"}
    assert sorted(["a10", "b", "a2"], key=natural) == ["a2", "a10", "b"] and plain("*") == "data"
