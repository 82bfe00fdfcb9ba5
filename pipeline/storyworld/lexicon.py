"""The words of the storyworld: how prose names what a scene shows.

Phrases are in the narrative past and carry grounding tags where StoryReasoning's prose has them:
`<gda {c}>` around an action, `<gdl bg{n}>` around a place, `<gdo obj{n}>` around a thing. Fields
in braces are filled by `prose.py`.
"""

from __future__ import annotations

# Events open a caption. They name the people and what is at stake, never what can be seen: the
# prompt of the captioner holds a caption's first 25 words, and the rest has to come from CLIP.
EVENTS: dict[str, tuple[str, ...]] = {
    "errand": (
        "{S} had promised {O} to see the errand through",
        "{S} could not forget the errand that {O} had asked for",
        "{S} wanted to be done with the errand for {O} before anyone asked",
        "The errand weighed on {S}, for {O} had trusted nobody else with it",
        "{S} and {O} had shared one errand between them since the start",
        "{S} thought again of the errand and of what {O} would say",
    ),
    "chase": (
        "{S} was sure that {O} must not get away this time",
        "{S} knew that the chase with {O} was not over yet",
        "The chase went on, and {S} would not leave it to {O}",
        "{S} had lost sight of everything but the chase and {O}",
        "{S} refused to give up the chase that {O} had begun",
        "Neither {S} nor {O} could say who was winning the chase",
    ),
    "meeting": (
        "{S} had waited years for this meeting with {O}",
        "{S} hardly believed that {O} had come to meet an old friend",
        "The meeting with {O} meant more to {S} than words could tell",
        "{S} and {O} had met at last after so many letters",
        "{S} had dreamt of meeting {O} ever since they were children",
        "To meet {O} again was all that {S} had hoped for",
    ),
    "loss": (
        "{S} still could not accept what {O} had lost",
        "{S} blamed nobody but {O} for the loss and kept searching",
        "What was lost had to be found, {S} told {O} once more",
        "{S} went on searching although {O} had long lost hope",
        "The loss had brought {S} and {O} closer to each other",
        "{S} had sworn to {O} that nothing stays lost for ever",
    ),
    "journey": (
        "{S} had never been on a journey this long with {O}",
        "The journey had changed {S} more than {O} would admit",
        "{S} and {O} were only half of the way into their journey",
        "{S} kept counting the days of the journey for {O}",
        "On such a journey {S} could rely on nobody but {O}",
        "{S} had talked {O} into this journey with a single word",
    ),
    "contest": (
        "{S} meant to win the contest even against {O}",
        "The contest was far from decided between {S} and {O}",
        "{S} had never lost a contest and {O} knew it well",
        "{S} would have given anything to beat {O} in the contest",
        "Everyone had bet on {O}, but {S} believed in winning the contest",
        "{S} wondered whether {O} took the contest as seriously as the others",
    ),
}
TURNS = (
    "and although neither of them said so",
    "and while the others had stopped asking",
    "and after all that had passed",
    "and because a promise is a promise",
    "and in spite of every doubt",
    "and with more courage than expected",
    "and for once without any regret",
    "and whatever people might say later",
    "and as so often before",
    "and with no turning back now",
)
STAKES = (
    "everything depended on this one day",
    "the hardest part was still to come",
    "nobody could have told how it would end",
    "luck seemed to have taken a side at last",
    "the thought alone was enough to go on",
    "one wrong word would have ruined it all",
    "the secret was growing heavier all the time",
    "a small hope remained that would not be silenced",
    "something told them that change was near",
    "they understood each other without a single word",
    "it felt as if the world held its breath",
    "every decision now counted twice as much",
)

ACTION_VERBS: dict[str, tuple[str, ...]] = {
    "walk": ("walked", "strolled", "was walking"),
    "run": ("ran", "sprinted", "was running"),
    "sit": ("sat", "was sitting", "sat resting"),
    "kneel": ("knelt", "was kneeling", "knelt down"),
    "lie": ("lay", "was lying", "lay down"),
    "wave": ("waved", "was waving", "waved a hand"),
    "point": ("pointed ahead", "was pointing", "pointed onwards"),
    "jump": ("jumped", "leapt", "was jumping"),
    "lift": ("reached up", "stretched upwards", "stood tall"),
    "dance": ("danced", "was dancing", "danced about"),
}
THINGS: dict[str, tuple[str, ...]] = {
    "basket": ("a woven basket", "a basket"),
    "oar": ("a long oar", "an oar"),
    "axe": ("a sharp axe", "an axe"),
    "bucket": ("a yellow bucket", "a bucket"),
    "watering can": ("a green watering can", "a watering can"),
    "fishing rod": ("a thin fishing rod", "a fishing rod"),
    "suitcase": ("a brown suitcase", "a suitcase"),
    "pitchfork": ("an iron pitchfork", "a pitchfork"),
    "rope": ("a coiled rope", "a rope"),
    "book": ("a thick book", "a book"),
    "kettle": ("a copper kettle", "a kettle"),
    "flag": ("a striped flag", "a flag"),
}
WITH_THING = ("with {it} at hand", "with {it}", "{it} close by", "never far from {it}")
WITH_THING_LIFTED = ("with {it} overhead", "holding up {it}", "{it} raised aloft")
PLACES_AT: dict[str, tuple[str, ...]] = {
    "market": ("at the market", "among the market stalls", "in the crowded market"),
    "harbour": ("at the harbour", "on the harbour quay", "by the harbour boats"),
    "forest": ("in the forest", "among the forest trees", "deep in the forest"),
    "beach": ("on the beach", "by the beach waves", "on the beach sand"),
    "garden": ("in the garden", "among the garden flowers", "by the garden hedge"),
    "bridge": ("on the bridge", "on the old bridge", "at the river bridge"),
    "station": ("at the station", "on the station platform", "by the station tracks"),
    "farm": ("on the farm", "in the farm yard", "by the farm barn"),
    "mountain": ("on the mountain", "below the mountain peaks", "high on the mountain"),
    "library": ("in the library", "among the library shelves", "in the quiet library"),
    "kitchen": ("in the kitchen", "by the kitchen stove", "in the warm kitchen"),
    "castle": ("at the castle", "below the castle towers", "before the castle gate"),
}
TIMES_AT: dict[str, tuple[str, ...]] = {
    "dawn": ("at dawn", "at daybreak", "at sunrise"),
    "noon": ("at noon", "at midday", "around noon"),
    "dusk": ("at dusk", "at sunset", "at nightfall"),
    "night": ("at night", "after dark", "at midnight"),
}
WEATHERS_IN: dict[str, tuple[str, ...]] = {
    "clear": ("in clear weather", "under a clear sky", "in dry weather"),
    "rain": ("in the rain", "in pouring rain", "in heavy rain"),
    "snow": ("in the snow", "in falling snow", "amid snowflakes"),
    "fog": ("in the fog", "in thick fog", "in dense fog"),
}
# What the weather is when it can only be seen through the window.
WEATHERS_OUTSIDE: dict[str, tuple[str, ...]] = {
    "clear": ("with clear weather outside", "behind a clear window"),
    "rain": ("with rain outside", "behind a rainy window"),
    "snow": ("with snow outside", "behind a snowy window"),
    "fog": ("with fog outside", "behind a foggy window"),
}
SHOTS_SEEN: dict[str, tuple[str, ...]] = {
    "wide": ("far away", "in the distance", "in a wide view"),
    "medium": ("some steps away", "at middle distance", "in a medium view"),
    "close": ("very close", "within reach", "in a close view"),
}
HAIR_PHRASES: dict[str, str] = {
    "short": "short {colour} hair",
    "long": "long {colour} hair",
    "bun": "{colour} hair in a bun",
    "curly": "curly {colour} hair",
}

MOOD_TAILS: dict[str, tuple[str, ...]] = {
    "happy": (
        "A smile spread over {P} face.",
        "{S} could have laughed out loud for joy.",
        "{P_cap} eyes were bright, and nothing seemed too hard.",
    ),
    "sad": (
        "There was a sadness in {P} look that would not leave.",
        "{S} swallowed hard and kept the tears back.",
        "{P_cap} mouth was drawn down, as if all had been in vain.",
    ),
    "worried": (
        "A deep frown showed how worried {S} was.",
        "{S} bit {P} lip and wondered what else could go wrong.",
        "{P_cap} brow was tight, and {P} thoughts went in circles.",
    ),
    "surprised": (
        "{P_cap} mouth stood open with surprise.",
        "{S} stared as if {P} own eyes could not be trusted.",
        "With eyes wide open {S} forgot to breathe for a moment.",
    ),
}
COMPANION_TAILS = (
    "Behind {S}, {O} in {colour} stood and watched.",
    "A little further back, {O} in {colour} was waiting for a sign.",
    "{O}, with {hair}, stayed in the background.",
)
PLACE_TAILS: dict[str, tuple[str, ...]] = {
    "market": (
        "Traders called out their prices, and it smelled of bread and ripe fruit.",
        "Striped awnings flapped above crates full of apples.",
    ),
    "harbour": (
        "Ropes creaked against the masts, and gulls quarrelled over scraps.",
        "The water slapped against the hulls in a slow rhythm.",
    ),
    "forest": (
        "Twigs snapped somewhere, and the smell of resin was strong.",
        "The trunks stood so close that each sound came back twice.",
    ),
    "beach": (
        "Foam ran up the sand and drew a new line each time.",
        "Shells lay scattered, and the salt could be tasted on the lips.",
    ),
    "garden": (
        "Bees hummed between the blossoms, and a gate squeaked.",
        "Somebody had raked the gravel path with great care.",
    ),
    "bridge": (
        "The river murmured under the arches, carrying leaves along.",
        "Old stones kept the marks of a thousand wheels.",
    ),
    "station": (
        "A whistle sounded, and the rails began to sing.",
        "The great clock above the platform moved on with a click.",
    ),
    "farm": (
        "Hens scratched in the straw, and a door banged in the wind.",
        "It smelled of hay, and somewhere a cow answered another.",
    ),
    "mountain": (
        "Loose stones rolled down, and the echo took its time.",
        "The air was thin, and each breath had to be earned.",
    ),
    "library": (
        "Pages rustled, and dust danced above the reading desks.",
        "Rows upon rows of spines climbed up to the ceiling.",
    ),
    "kitchen": (
        "A pot bubbled on the stove, and the tiles shone.",
        "It smelled of onions and of something sweet in the oven.",
    ),
    "castle": (
        "The walls had seen kings come and go, and kept silent.",
        "High above, a banner cracked like a whip.",
    ),
}
CLOSING_TAILS = (
    "Nobody spoke for a while, and that was answer enough.",
    "It was a moment that both of them would remember.",
    "Then a bell rang somewhere, and the spell was broken.",
    "What had been said before no longer mattered much.",
    "There was still time, if only a little.",
    "No one else seemed to notice any of it.",
)
