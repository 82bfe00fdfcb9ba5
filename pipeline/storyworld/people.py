"""Who lives in the storyworld: names and looks, drawn at random per story."""

from __future__ import annotations

import random

from pipeline.storyworld.world import (
    COLOURS,
    GARMENTS,
    HAIR_COLOURS,
    HAIR_STYLES,
    SKINS,
    Person,
)

# Many names, so that a language model must copy them from the context instead of learning them
# by heart.
FEMALE_NAMES = tuple(
    "Anna Bella Clara Dora Elena Fiona Greta Hanna Irene Julia Karla Laura Maria Nora Olga Paula "
    "Rosa Sara Tessa Ursula Vera Wilma Yara Zoe Alice Bianca Cora Diana Emma Freya Gloria Helen "
    "Ines Jana Kira Lena Mona Nina Opal Petra Rita Sonja Tilda Una Viola Wanda Ada Betty".split()
)
MALE_NAMES = tuple(
    "Adam Boris Carl David Emil Felix Georg Hugo Ivan Jonas Kurt Leo Martin Nils Oscar Paul "
    "Robert Simon Tom Ulrich Victor Walter Xavier Yusuf Albert Bruno Conrad Dennis Erik Frank "
    "Gustav Henry Igor Jakob Karim Linus Marco Noah Otto Peter Quentin Ralph Stefan Theo Umar "
    "Vincent William Zeno".split()
)
ROLES = (
    "baker",
    "carpenter",
    "doctor",
    "farmer",
    "fisher",
    "gardener",
    "musician",
    "painter",
    "pilot",
    "sailor",
    "student",
    "tailor",
    "teacher",
    "traveller",
    "watchmaker",
    "writer",
)


def draw_cast(rng: random.Random, size: int) -> tuple[Person, ...]:
    """`size` people (at most 8) with distinct names, garment colours and hair colours where
    these last: looks tell them apart in the pictures."""
    genders = [rng.choice(("female", "male")) for _ in range(size)]
    names: list[str] = []
    for gender in genders:
        pool = FEMALE_NAMES if gender == "female" else MALE_NAMES
        names.append(rng.choice([name for name in pool if name not in names]))
    colours = rng.sample(COLOURS, size)
    hair_colours = rng.sample(HAIR_COLOURS, min(size, len(HAIR_COLOURS)))
    cast = []
    for i, (name, gender) in enumerate(zip(names, genders, strict=True)):
        hair_colour = hair_colours[i % len(hair_colours)]
        cast.append(
            Person(
                name=name,
                gender=gender,
                role=rng.choice(ROLES),
                age="old" if hair_colour == "grey" else rng.choice(("young", "grown")),
                hair_colour=hair_colour,
                hair_style=rng.choice(HAIR_STYLES if gender == "female" else ("short", "curly")),
                skin=rng.choice(SKINS),
                garment=rng.choice(GARMENTS if gender == "female" else GARMENTS[:2]),
                colour=colours[i],
            )
        )
    return tuple(cast)
