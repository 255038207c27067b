"""The words of the bundled sample; `sample_grammar.py` puts them into sentences.

Whatever takes a side is a pair of lists: the negative words, then the positive ones, so that the
index is the label.
"""

from __future__ import annotations


def _words(words: str) -> list[str]:
    """Split at spaces."""
    return words.split()


def _list(words: str) -> list[str]:
    """Split at bars; line breaks and the spaces around a bar do not count."""
    return [" ".join(entry.split()) for entry in words.split("|")]


# Adjectives that fit anything, and those that fit a story but not, say, the lighting.
ADJECTIVES_ANY = (
    _words(
        """dreadful awful terrible dull weak clumsy lifeless feeble bland stale sloppy lazy
        forgettable lame hollow atrocious poor mediocre shoddy amateurish wretched abysmal
        insipid dreary uninspired tiresome grating irritating crude careless heavy-handed
        lackluster dismal inept stilted disappointing"""
    ),
    _words(
        """wonderful superb brilliant splendid terrific excellent delightful lovely impressive
        inspired inventive imaginative memorable remarkable stylish subtle elegant polished
        assured daring fresh ingenious clever lively dazzling enchanting charming captivating
        sublime graceful refreshing vivid outstanding magnificent exquisite vibrant"""
    ),
)
ADJECTIVES_STORY = (
    _words(
        """boring tedious predictable pretentious confusing incoherent exhausting implausible
        mawkish monotonous pointless preachy silly shallow smug soulless trite unfunny
        unbearable ludicrous repetitive endless contrived aimless"""
    ),
    _words(
        """absorbing affecting amusing compelling engaging entertaining exciting fascinating
        funny gripping heartfelt hilarious intelligent moving poignant powerful rewarding
        satisfying stirring tender thoughtful thrilling touching witty"""
    ),
)

# Other words that take a side. Forms of one word have the same place in each list of a family.
SIDED: dict[str, tuple[list[str], list[str]]] = {
    "do": (
        _words("yawn groan sigh wince squirm fidget scowl cringe grumble sulk"),
        _words("grin smile laugh cheer clap beam chuckle giggle applaud whoop"),
    ),
    "did": (
        _words("yawned groaned sighed winced squirmed fidgeted scowled cringed grumbled sulked"),
        _words("grinned smiled laughed cheered clapped beamed chuckled giggled applauded whooped"),
    ),
    "doing": (
        _words(
            """yawning groaning sighing wincing squirming fidgeting scowling cringing grumbling
            sulking"""
        ),
        _words(
            """grinning smiling laughing cheering clapping beaming chuckling giggling applauding
            whooping"""
        ),
    ),
    "love": (
        _words("hate loathe dislike detest despise resent"),
        _words("love adore enjoy admire like relish"),
    ),
    "loved": (
        _words("hated loathed disliked detested despised resented"),
        _words("loved adored enjoyed admired liked relished"),
    ),
    "save": (_words("ruin spoil wreck sink mar"), _words("save redeem rescue lift elevate")),
    "saved": (
        _words("ruined spoiled wrecked sank marred"),
        _words("saved redeemed rescued lifted elevated"),
    ),
    "many": (
        _words("faults weaknesses flaws blunders clichés missteps mistakes blemishes"),
        _words("virtues strengths merits delights charms joys thrills pleasures"),
    ),
    "feel": (
        _words("bored annoyed weary disappointed restless irritated deflated cranky grumpy numb"),
        _words(
            """delighted elated enthralled cheerful refreshed spellbound happy thrilled serene
            giddy"""
        ),
    ),
    "noun": (
        _list(
            """a disaster|a mess|a bore|a chore|a dud|a failure|a flop|a slog|a shambles|a turkey
            |an ordeal|a disappointment|a letdown|a travesty|an embarrassment|a fiasco|a misfire
            |a clunker|a stinker"""
        ),
        _list(
            """a triumph|a masterpiece|a gem|a joy|a delight|a treat|a treasure|a marvel|a wonder
            |a classic|a success|a knockout|a winner|a pleasure|a little miracle|a feast
            |a revelation|a beauty|a jewel"""
        ),
    ),
}
# The family of a form: a review uses a word of a family once at most.
FAMILIES = {
    **dict.fromkeys(("do", "did", "doing"), "do"),
    **dict.fromkeys(("love", "loved"), "love"),
    **dict.fromkeys(("save", "saved"), "save"),
}

# What can be good or bad in a film; those in the plural end in a star.
ASPECTS_CRAFT = _words(
    """acting camerawork editing lighting score direction casting staging costumes* sets*
    performances* choreography photography songs* music pacing"""
)
ASPECTS_STORY = _words(
    """script plot story dialogue ending opening finale romance premise humor jokes* characters*
    climax twist flashbacks* monologues* narration subplot prologue epilogue banter
    storytelling"""
)

# Who else has an opinion, with the pronoun and the verb.
PEOPLE: list[tuple[str, str, str]] = [
    (who, pronoun, verb)
    for pronoun, verb, people in (
        (
            "he",
            "is",
            """my brother|my uncle|my father|my boss|my roommate|my grandfather|my nephew
            |the man next door|my old professor|my barber|the critic of the Herald|my ex-husband
            |my son""",
        ),
        (
            "she",
            "is",
            """my sister|my aunt|my mother|my dentist|my grandmother|my niece|our babysitter
            |the woman behind me|my hairdresser|the critic of the Gazette|my daughter|my landlady
            |my wife""",
        ),
        (
            "they",
            "are",
            """most critics|my parents|my friends|the neighbors|my students|the people behind us
            |my colleagues|some fans|my cousins""",
        ),
    )
    for who in _list(people)
]

# What is reviewed: its names, and what it is measured against.
KINDS: dict[str, tuple[list[str], list[str]]] = {
    "film": (
        ["film", "movie", "picture"],
        ["book", "novel", "comic", "memoir", "trailer", "radio play", "short story"],
    ),
    "series": (["series", "show"], ["book", "novel", "comic", "podcast", "trailer", "memoir"]),
    "play": (["play", "production"], ["book", "novel", "memoir", "short story", "poem"]),
}

# What fills a slot that takes no side. An entry may have slots of its own.
FILLERS: dict[str, list[str]] = {
    slot: _list(words)
    for slot, words in {
        "when": """last night|last weekend|on a wet Tuesday|on a Sunday afternoon|in {month}
            |during the holidays|on Friday night|one morning in {month}|after dinner|last week
            |on my day off|the other day""",
        "company": """my brother|my sister|two friends|my wife|my husband|an old friend|my mother
            |a colleague|the neighbors|my cousins|my book club|three students|my godson|my flatmate
            |a girl from work|my chess partner""",
        "ordinal": "first|second|third|fourth|fifth|tenth|twentieth",
        "night": "two|three|four|five",
        "hour": "six|seven|eight|nine",
        "ride": "train|ferry|bus|plane|night train|subway",
        "far_ride": "train|ferry|bus|plane|night train",
        "channel": "cable|channel 4|channel 9|my laptop|a big screen|my old television",
        "shop": "flea market|library|thrift store|yard sale|video store|museum shop",
        "month": """January|February|March|April|June|July|August|September|October|November
            |December""",
        "city": """Lisbon|Prague|Glasgow|Oslo|Naples|Chicago|Kyoto|Dublin|Marseille|Toronto|Havana
            |Vienna|Cairo|Nairobi|Boston|Seville|Krakow|Montreal|Istanbul|Ghent|Leeds|Denver
            |Helsinki|Lima|Seoul""",
        "place": """in a fishing village|in a border town|in the Scottish Highlands
            |in a mining town in Wales|in a monastery|in a grand hotel
            |in a ski resort out of season|in a suburb of {city}|on an island
            |in the harbor of {city}|at a boarding school|in a desert motel|in a hospital in {city}
            |in the Alps|on a houseboat|on a vineyard|at a research station
            |at a night market in {city}|in a lighthouse|in an apartment in {city}
            |on the outskirts of {city}|at a railway station""",
        "trait": """young|retired|widowed|stubborn|shy|ambitious|homesick|penniless|talkative
            |absent-minded|famous|former|left-handed|sleepless|superstitious|middle-aged|newly wed
            |nearsighted|wealthy|quiet|tall|nervous""",
        "job": """baker|beekeeper|judge|surgeon|violinist|postman|librarian|sailor|teacher|plumber
            |detective|gardener|translator|taxi driver|nurse|pilot|cook|clockmaker|boxer|lawyer
            |painter|photographer|carpenter|farmer|soldier|priest|magician|singer|thief
            |mathematician|glassblower|astronaut|butcher|tailor|piano tuner|hotel clerk|conductor
            |fisherman|miner|spy|mayor|florist|locksmith|jockey|diver|geologist""",
        "jobs": """sisters|brothers|bakers|thieves|sailors|nurses|students|musicians|cooks|widows
            |spies|cousins|dancers|soldiers|strangers|professors""",
        "deed": """inherits a lighthouse|finds a box of letters|loses a bet|adopts a stray dog
            |buys an old piano|receives a postcard from a stranger|wins the lottery
            |misses the last ferry|agrees to smuggle a painting|opens a restaurant
            |is mistaken for a spy|takes in a runaway|learns to swim|discovers a map in an old coat
            |moves in with a rival|goes looking for a lost brother|hides a witness|starts a choir
            |joins a traveling circus|writes letters to a prisoner|sells the family farm
            |steals a {thing}|finds a {thing} in the attic|dreams of a {thing}
            |rents a room to a {job}|follows a {job} to {city}|hears a voice on the radio
            |borrows a {thing} from a {job}|trains for a race|wakes up with no memory
            |builds a boat""",
        "then": """and has to tell the family|and leaves the same night|and tells no one
            |before the winter sets in|and gets on a train to {city}|and then an old friend turns up
            |and calls a cousin for help|and then comes the {event}|and meets a {trait} {job}
            |in the middle of a {event}|and the police ask questions|just before a {event}
            |and only a {job} knows why|while the river rises""",
        "thing": """suitcase|typewriter|violin|bicycle|photograph|telescope|diary|clock|mirror
            |tractor|umbrella|locket|rope|radio|wallet|letter|passport|camera|key|ring|carpet
            |coat|candle|kite|lamp|teapot|compass|music box""",
        "find": "soundtrack|screenplay|interview|next one|bus stop|photographs|car keys",
        "event": """wedding|storm|burglary|funeral|heist|birthday party|trial|regatta
            |blackout|strike|card game|parade|flood|chess match|snowfall|auction|duel|harvest
            |shipwreck|dance|fire|reunion""",
        "walk": "river|canal|harbor|railway|park|beach|main street|old wall",
        "pet": "dog|cat|baby|sister|hamster|flatmate",
        "weather": "rain|snow|hail|freeze|thaw",
        "seats": "red|old|narrow|wooden|velvet|numbered",
        "room": "full|half empty|half full|cold|small|dark|warm",
        "first": """Ines|Tomas|Ruth|Amara|Viktor|Helen|Marco|Yuki|Omar|Greta|Samuel|Lucia|Pavel
            |Nadia|Henrik|Rosa|Leon|Priya|Edgar|Maeve""",
        "last": """Moreau|Lindqvist|Okafor|Halloran|Tanaka|Bellini|Novak|Ferreira|Whitlock|Sorensen
            |Castellano|Abara|Kowalski|Delgado|Haddad|Brandt|Quigley|Ivanova|Marchetti|Osborne""",
        "name": "{first} {last}",
        "title_word": """Lantern|Orchard|Harbor|Winter|Glass|Paper|Silver|Midnight|Copper|Salt
            |River|Marble|Autumn|Velvet""",
        "title_noun": """Keeper|Road|Garden|House|Letters|Bridge|Thief|Season|Window|Hour|Sisters
            |Station|Waltz|Island""",
        "title": '"The {title_word} {title_noun}"|"{title_word} {title_noun}"',
    }.items()
}
# Slots that are numbers: the least and the most.
NUMBERS = {
    "small": (3, 19),
    "price": (3, 20),
    "year": (1931, 2023),
    "season": (1968, 2023),
    "minutes": (71, 189),
    "episode": (22, 68),
}
