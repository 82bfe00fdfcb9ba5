"""English words that every text is full of, left out where the words of a dataset are listed.

Articles, pronouns, prepositions, conjunctions, auxiliaries and a few adverbs: closed classes, so
that nothing a story could be about is among them (longer stop lists have `fire` and `cry`).
"""

FUNCTION_WORDS = frozenset(
    "a an the this that these those some any each every no none all both either neither another "
    "i me my mine myself you your yours yourself yourselves he him his himself she her hers "
    "herself it its itself we us our ours ourselves they them their theirs themselves who whom "
    "whose which what one "
    "about above across after against along among around as at before behind below beneath beside "
    "between beyond by despite down during for from in inside into like near of off on onto out "
    "outside over past since through throughout till to toward towards under until up upon with "
    "within without "
    "and but or nor so yet if because although though while whereas unless than whether when where "
    "how why once "
    "am is are was were be been being have has had having do does did doing done can could may "
    "might must shall should will would "
    "not also again ever even just much more most many such too very only other others own same "
    "still then there here now as if nothing something everything anything nobody somebody "
    "it's that's there's he's she's i'm they're we're you're don't doesn't didn't isn't aren't "
    "wasn't weren't can't couldn't won't wouldn't".split()
)
