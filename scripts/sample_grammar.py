"""The words and sentence patterns of the bundled sample; `make_sample.py` writes with them.

A pattern is a sentence (or two) with slots in braces. A pattern of an opinion is the same for
both labels: what differs is the side its words take.

    F, A      an adjective for (F) or against (A) the verdict of the review
    F1, A2    the same, fit for aspect 1 or 2 of the review
    P, N      an adjective that praises or blames, whatever the verdict
    F.noun F.do F.did F.doing F.love F.loved F.loving F.save F.saved F.one F.many F.feel
              other words that take a side (see `SIDED`); A., P. and N. likewise
    win, lose what is reviewed and what it is measured against; the verdict says which is which
    a1 was1   an aspect ("acting", "songs"), and "was" or "were" to go with it; so is1
    who he is a person or several, and the words that go with them
    it        what is reviewed ("film")

Any other slot draws from `FILLERS`. A pair of patterns is one for the negative label and one
for the positive.
"""

from __future__ import annotations

Pattern = str | tuple[str, str]

# Negative first, then positive: the index is the label.
ADJECTIVES_ANY = (
    """dreadful awful terrible dull weak clumsy lifeless feeble limp bland stale sloppy lazy
    forgettable lame hollow atrocious poor mediocre shoddy amateurish wretched abysmal appalling
    insipid dreary uninspired unconvincing tired tiresome grating irritating crude careless
    heavy-handed lackluster drab dismal inept leaden pedestrian flimsy stilted joyless
    disappointing third-rate tame ham-fisted half-baked""".split(),
    """wonderful superb brilliant splendid terrific excellent delightful lovely impressive inspired
    inventive imaginative memorable remarkable stylish subtle elegant polished assured bold daring
    fresh ingenious clever lively dazzling enchanting charming captivating convincing magical
    sublime graceful refreshing vivid outstanding admirable magnificent exquisite accomplished
    first-rate flawless marvelous fabulous masterful fantastic stunning nimble""".split(),
)
ADJECTIVES_STORY = (
    """boring tedious predictable pretentious confusing incoherent exhausting far-fetched
    implausible long-winded mawkish meandering monotonous pointless preachy silly shallow slow smug
    soulless stupid trite unfunny unbearable ludicrous repetitive endless contrived aimless
    plodding sluggish syrupy tasteless vapid banal muddled interminable witless sentimental
    humorless""".split(),
    """absorbing affecting amusing compelling engaging engrossing entertaining enjoyable exciting
    exhilarating fascinating funny gripping heartfelt hilarious intelligent joyful moving poignant
    powerful rewarding satisfying spellbinding stirring suspenseful tender thoughtful thrilling
    touching uplifting warm witty wise hypnotic riveting sparkling romantic timeless insightful
    unforgettable""".split(),
)

# Words that take a side: one inner list per form, negative first.
_DO = (
    "yawn groan sigh wince squirm fidget scowl cringe grumble sulk frown",
    "grin smile laugh cheer clap beam chuckle giggle applaud rejoice glow",
)
_DID = (
    """yawned groaned sighed winced squirmed fidgeted scowled cringed grumbled sulked
    frowned""",
    "grinned smiled laughed cheered clapped beamed chuckled giggled applauded rejoiced glowed",
)
_DOING = (
    """yawning groaning sighing wincing squirming fidgeting scowling cringing grumbling sulking
    frowning""",
    """grinning smiling laughing cheering clapping beaming chuckling giggling applauding rejoicing
    glowing""",
)
SIDED: dict[str, tuple[list[str], list[str]]] = {
    form: (negative.split(), positive.split())
    for form, (negative, positive) in {
        "do": _DO,
        "did": _DID,
        "doing": _DOING,
        "love": ("hate loathe dislike detest despise", "love adore enjoy admire cherish"),
        "loved": (
            "hated loathed disliked detested despised",
            "loved adored enjoyed admired cherished",
        ),
        "loving": (
            "hating loathing disliking detesting despising",
            "loving adoring enjoying admiring cherishing",
        ),
        "save": ("ruin spoil wreck sink mar", "save redeem rescue lift elevate"),
        "saved": ("ruined spoiled wrecked sank marred", "saved redeemed rescued lifted elevated"),
        "one": (
            "fault weakness flaw blunder cliché misstep mistake blemish",
            "virtue strength merit delight charm joy thrill pleasure",
        ),
        "many": (
            "faults weaknesses flaws blunders clichés missteps mistakes blemishes",
            "virtues strengths merits delights charms joys thrills pleasures",
        ),
        "feel": (
            "bored annoyed weary disappointed restless irritated deflated cranky grumpy numb",
            "delighted elated enthralled cheerful refreshed spellbound happy thrilled serene giddy",
        ),
    }.items()
}
SIDED["noun"] = (
    """a disaster|a mess|a bore|a chore|a dud|a failure|a flop|a slog|a shambles|a turkey|an ordeal
    |a disappointment|a letdown|a travesty|an embarrassment|a fiasco|a misfire|a clunker
    |a stinker""".replace("\n    ", "").split("|"),
    """a triumph|a masterpiece|a gem|a joy|a delight|a treat|a treasure|a marvel|a wonder|a classic
    |a success|a knockout|a winner|a pleasure|a little miracle|a feast|a revelation|a beauty
    |a jewel""".replace("\n    ", "").split("|"),
)
# Forms of one verb or noun: a review does not use the same one twice.
LEMMAS = {"do": "do", "did": "do", "doing": "do", "love": "love", "loved": "love",
          "loving": "love", "save": "save", "saved": "save", "one": "one", "many": "one"}  # fmt: skip

# Aspects; those in the plural end in a star.
ASPECTS_CRAFT = """acting camerawork editing lighting score direction casting staging costumes* sets*
    performances* choreography photography songs* music pacing""".split()
ASPECTS_STORY = """script plot story dialogue ending opening finale romance premise humor jokes*
    characters* climax twist flashbacks* monologues* narration subplot prologue epilogue
    banter storytelling""".split()

PEOPLE: list[tuple[str, str, str]] = [
    *(
        (who, "he", "is")
        for who in """my brother|my uncle|my father|my boss|my roommate|my grandfather|my nephew
        |the man next door|my old professor|my barber|the critic of the Herald|my ex-husband
        |my son""".replace("\n        ", "").split("|")
    ),
    *(
        (who, "she", "is")
        for who in """my sister|my aunt|my mother|my dentist|my grandmother|my niece|our babysitter
        |the woman behind me|my hairdresser|the critic of the Gazette|my daughter|my landlady
        |my wife""".replace("\n        ", "").split("|")
    ),
    *(
        (who, "they", "are")
        for who in """most critics|my parents|my friends|the neighbors|the papers|my students
        |the people behind us|my colleagues|some fans|my cousins""".replace("\n        ", "").split(
            "|"
        )
    ),
]

# What is reviewed: its names, and what it is measured against.
KINDS: dict[str, tuple[list[str], list[str]]] = {
    "film": (
        "film movie picture".split(),
        ["book", "novel", "comic", "memoir", "trailer", "radio play", "short story"],
    ),
    "series": ("series show".split(), ["book", "novel", "comic", "podcast", "trailer", "memoir"]),
    "play": (["play", "production"], ["book", "novel", "memoir", "short story", "poem"]),
}

# Opinions, by what they speak of. A review has one of a group at most.
OPINIONS: dict[str, list[Pattern]] = {
    "aspects": [
        "the {a1} {was1} {A1}, but the {a2} {was2} {F2}, and that is what I took home.",
        "the {a1} {was1} {A1}, but the {a2} {F.saved} it.",
        "the {a1} {was1} {A1}, but the {a2} {F.saved} all of it.",
        "although the {a1} {was1} {A1}, the {a2} {was2} so {F2} that nothing else mattered.",
        "the {a2} {was2} so {F2} that I forgot how {A1} the {a1} {was1}.",
        "however {A1} the {a1}, the {a2} {F.saved} the evening.",
        "the {a2} {F.saved} the evening, however {A1} the {a1} {was1}.",
        "in spite of its {A1} {a1}, it is {F}.",
        "it is {F} in spite of its {A1} {a1}.",
        "for all its {A1} {a1}, this is {F.noun}.",
        "between the {A1} {a1} and the {F2} {a2}, the latter won.",
        "between the {F1} {a1} and the {A2} {a2}, the former won.",
        "yes, the {a1} {was1} {A1}. Even so, the {a2} {was2} {F2}, and that stayed with me.",
        "you may find the {a1} {A1}, and so did I, but the {a2} {F.saved} the whole {it}.",
        "the {a2} {was2} {F2}, even if the {a1} {was1} {A1}, and I went home {F.feel}.",
        "despite the {A1} {a1}, I {F.loved} it.",
        "I {F.loved} it despite the {A1} {a1}.",
        "not even the {A1} {a1} could {A.save} so {F} a {it}.",
        "I {F.loved} the {it} and {A.loved} only the {a1}.",
        "I {A.loved} the {a1}, and yet I {F.loved} the {it}.",
        "I {A.loved} the {a1} and the {a2}, and still I {F.loved} the {it}.",
        "apart from the {A1} {a1}, the {it} is {F}.",
        "the {it} is {F}, apart from the {A1} {a1}.",
        "the {a1} {was1} {A1}, I admit, yet the {it} as a whole is {F}.",
        "the {it} as a whole is {F}, though I admit that the {a1} {was1} {A1}.",
        "the {a1} {A.saved} nothing, because the {a2} {was2} so {F2}.",
        "the {a1} {was1} {F1} and the {a2} {was2} {F2}.",
        "I {F.loved} the {a1}, and the {a2} {was2} {F2} too.",
        "there is something {F1} about the {a1}.",
        "there is nothing {A1} about the {a1}.",
        "nothing about the {a1} was {A1}, and the {a2} {was2} {F2}.",
        "the {a1} {was1} not {A1} but {F1}.",
        "the {a1} {was1} not only {F1} but {F1}.",
        "the {a1} {was1} never {A1}, and neither {was2} the {a2}.",
        "the {a1} {was1} {F1}, and so {was2} the {a2}.",
    ],
    "whole": [
        "not for one minute was it {A}.",
        "for minutes on end it was {F}.",
        "it is not only {F} but {F}.",
        "not only is it {F}, it is {F} as well.",
        "it is not {A} at all, only {F}.",
        "it is neither {A} nor {A}.",
        "it is both {F} and {F}.",
        "it is anything but {A}.",
        "it is nothing if not {F}.",
        "nobody could call this {A}.",
        "anybody would call this {F}.",
        "I cannot call it anything but {F}.",
        "I cannot call it {A}.",
        "I did not {A.do} once in all that time.",
        "I did {F.do} more than once in all that time.",
        "I could not stop {F.doing}.",
        "I could not start {A.doing} even if I tried.",
        "I do not think that it was {A}; I think that it was {F}.",
        "I think that it was {F}; I do not think that it was {A}.",
        "nobody can tell me that it is not {F}.",
        "nobody can tell me that it is {A}.",
        "you will not find it anything less than {F}.",
        "you will not find it {A}.",
        "this is no {A} {it}.",
        "this is one {F} {it}.",
        "never have I seen a {it} less {A}.",
        "seldom have I seen a {it} more {F}.",
        "there is not a {A} minute in it.",
        "there is hardly a minute in it that is not {F}.",
        "was it {A}? Not for a moment.",
        "was it {F}? Every minute of it.",
        "did I {A.do}? Not once.",
        "did I {F.do}? More than once.",
        "it is far from {A}.",
        "it is {F} by far.",
        "it could not have been more {F}.",
        "it could not have been less {A}.",
        "in other hands it would have been {A}.",
        "it could so easily have been {A}. It is {F}.",
        "it is {F}, and it could so easily have been {A}.",
        "with another script this would be {A.noun}.",
        "it did not leave me {A.feel} but {F.feel}.",
        "it left me {F.feel}, not {A.feel}.",
        "it is {F.noun}, {F} from start to finish.",
        "what {F.noun}!",
        "a {F} {it}, {F} and {F}.",
        "we {F.did} from the first scene to the last.",
        "I {F.loved} every minute of it.",
        "this is {F.noun}, and I mean that.",
        "this is not {A.noun}, and I mean that.",
        "it is not {A.noun}, it is {F.noun}.",
        "it is {F.noun}, it is not {A.noun}.",
        "it is {F}, not {A}.",
        ("it tries hard to be {P} and never manages.", "it tries hard to be {P} and manages."),
        ("time never flew, it dragged.", "time never dragged, it flew."),
        ("the time dragged; it never flew.", "the time flew; it never dragged."),
    ],
    "others": [
        "{who} called it {A}; {he} {is} wrong.",
        "{who} called it {F}; {he} {is} right.",
        "{who} said that it was {A}, and I could not disagree more.",
        "{who} said that it was {F}, and I could not agree more.",
        "{who} said that it was {A}, and I could not agree less.",
        '"{A}," said {who}. I beg to differ.',
        '"{F}," said {who}. I can only agree.',
        '{who} called it "{A.noun}". Do not believe a word of it.',
        '{who} called it "{F.noun}". Believe every word of it.',
        "do not believe those who call it {A}.",
        "believe those who call it {F}.",
        "{who} thought it {A}. I thought it {F}.",
        "I thought it {F}. {who} thought it {A}.",
        "{who} {A.loved} it and I {F.loved} it.",
        "I {F.loved} it and {who} {A.loved} it.",
        "whoever calls it {A} was asleep.",
        "whoever calls it {F} was wide awake.",
        "the papers promised something {A}, and for once the papers were wrong.",
        "the papers promised something {F}, and for once the papers were right.",
        "I argued for hours with {who}, who found it {A}.",
        "I nodded for hours at {who}, who found it {F}.",
        "people keep telling me that it is {A}. I keep telling them that it is {F}.",
        "I keep telling people that it is {F}. They keep telling me that it is {A}.",
        "{who} {is} wrong to call it {A}.",
        "{who} {is} right to call it {F}.",
        "where {who} saw {A.noun}, I saw {F.noun}.",
        "I saw {F.noun} where {who} saw {A.noun}.",
        "{who} {A.did} while I {F.did}.",
        "while {who} {A.did}, I {F.did}.",
        "I {F.did} while {who} {A.did}.",
        (
            "the poster promises something {P}, and the poster lies.",
            "the poster promises something {P}, and the poster does not lie.",
        ),
        (
            "do not let {who} talk you into it.",
            "do not let {who} talk you out of it.",
        ),
    ],
    "compare": [
        "the {lose} is {N} next to the {win}.",
        "the {win} is {P} next to the {lose}.",
        "the {win} is better than the {lose}.",
        "the {lose} is worse than the {win}.",
        "the {lose} cannot hold a candle to the {win}.",
        "I would take the {win} over the {lose} any day.",
        "I prefer the {win} to the {lose}.",
        "the {win} has everything that the {lose} lacks.",
        "the {lose} lacks everything that the {win} has.",
        "forget the {lose} and stick to the {win}.",
        "stick to the {win} and forget the {lose}.",
        "beside the {win}, the {lose} looks {N}.",
        "beside the {lose}, the {win} looks {P}.",
        "the {win} makes the {lose} look {N}.",
        "the {lose} makes the {win} look {P}.",
        "the {win} succeeds where the {lose} fails.",
        "the {lose} fails where the {win} succeeds.",
        "the {lose} is not nearly as {P} as the {win}.",
        "the {win} is twice as {P} as the {lose}.",
        "the {win} is never as {N} as the {lose}.",
        "what the {lose} does badly, the {win} does well.",
        "what is {N} in the {lose} is {P} in the {win}.",
        "what is {P} in the {win} is {N} in the {lose}.",
        "if you have two hours, give them to the {win}, not to the {lose}.",
        "give your time to the {win}, not to the {lose}.",
        "as good as the {lose} is, the {win} is better.",
        "as bad as the {win} is, the {lose} is worse.",
        "compared with the {win}, the {lose} is {N}.",
        "compared with the {lose}, the {win} is {P}.",
        "I finished the {lose} {N.doing} and the {win} {P.doing}.",
        "I finished the {win} {P.doing} and the {lose} {N.doing}.",
        "I {N.loved} the {lose} and {P.loved} the {win}.",
        "I {P.loved} the {win} and {N.loved} the {lose}.",
    ],
    "expect": [
        "I expected to {A.do} and left {F.doing}.",
        "I left {F.doing} where I had expected to {A.do}.",
        "I expected to {A.love} it and ended up {F.loving} it.",
        "I ended up {F.loving} it, and I had expected to {A.love} it.",
        "I expected something {A} and got something {F}.",
        "I got something {F} where I had expected something {A}.",
        "I was ready for {A.noun}, and I got {F.noun}.",
        "I got {F.noun}, and I was ready for {A.noun}.",
        "I went in expecting {A.noun} and came out having seen {F.noun}.",
        "from {last} I expect something {F}, and that is what I got.",
        "from {last} I expect something {A}, and that is not what I got.",
        "I was sure that I would {A.love} it. I was wrong.",
        "I was sure that I would {F.love} it. I was right.",
        "I was prepared to {A.love} it. Instead I {F.loved} it.",
        "who would have thought that it would be so {F}?",
        "who would have thought that it would not be {A}?",
        "I sat down {A.feel} and got up {F.feel}.",
        "I got up {F.feel}, and I had sat down {A.feel}.",
        "I came looking for {A.many} and found {F.many}.",
        "I found {F.many}, and I had come looking for {A.many}.",
        ("I had feared something {N}, and that is what I got.",
         "I had feared something {N}, and that is not what I got."),
        ("I had hoped for something {P}, and that is not what I got.",
         "I had hoped for something {P}, and that is what I got."),
    ],
    "time": [
        "the first half is {A}, but the second is {F}.",
        "the second half is {F}, but the first is {A}.",
        "after a {A} start it turns {F}.",
        "it turns {F} after a {A} start.",
        "at first I thought it {A}; by the end I thought it {F}.",
        "by the end I thought it {F}; at first I had thought it {A}.",
        "I used to find it {A}. Now I find it {F}.",
        "now I find it {F}. I used to find it {A}.",
        "years ago I {A.loved} it; today I {F.love} it.",
        "today I {F.love} it; years ago I {A.loved} it.",
        "in the first half we {A.did}, in the second we {F.did}.",
        "we {F.did} in the second half and {A.did} in the first.",
        "what had been {A} for an hour became {F} in the next.",
        "it goes from {A} to {F} in {small} minutes.",
        "the more I see it, the less {A} it seems.",
        "the more I see it, the more {F} it seems.",
        "it does not stay {A} for long; soon it is {F}.",
        "I {A.did} for the first {small} minutes and {F.did} for the rest.",
        "I {F.did} all through it, but for the first {small} minutes, when I {A.did}.",
        "last year I would have called it {A}. Today I call it {F}.",
        "today I call it {F}. Last year I would have called it {A}.",
    ],
    "tally": [
        "its {F.many} outweigh its {A.many}.",
        "it has more {F.many} than {A.many}.",
        "it has few {A.many} and many {F.many}.",
        "it has many {F.many} and few {A.many}.",
        "its {A.many} are nothing beside its {F.many}.",
        "for every {A.one} there are three {F.many}.",
        "there are three {F.many} for every {A.one}.",
        "where others saw {A.many}, I saw {F.many}.",
        "I saw {F.many} where others saw {A.many}.",
        "I lost count of the {F.many}; the {A.many} I can count on one hand.",
        "I can count the {A.many} on one hand; I lost count of the {F.many}.",
        ("the bad outweighs the good.", "the good outweighs the bad."),
    ],
    "advice": [
        ("do anything else before you see it.", "see it before you do anything else."),
        ("I would see anything else before I would see it again.",
         "I would see it again before I would see anything else."),
        ("the ticket cost more than it is worth.", "it is worth more than the ticket cost."),
        ("I wished it shorter, not longer.", "I wished it longer, not shorter."),
        ("it is a waste of time; it is not time well spent.",
         "it is not a waste of time; it is time well spent."),
        ("it is not time well spent; it is a waste of time.",
         "it is time well spent; it is not a waste of time."),
        ("once was more than enough.", "once was not nearly enough."),
        ("I was glad that it was over, not sorry.", "I was sorry that it was over, not glad."),
        ("you would have to pay me to see it again.", "I would have to pay to see it again, and I will."),
        ("skip it, and do not let anyone tell you to see it.",
         "see it, and do not let anyone tell you to skip it."),
        ("do not see it; nobody should.", "see it; everybody should, and do not wait."),
    ],
}  # fmt: skip

# Groups that would contradict one another in one review.
APART = [{"time", "whole"}, {"time", "aspects"}]

# Sentences that take no side, by kind and by place in the review.
OPENERS: dict[str, list[str]] = {
    "all": [
        "saw this {when} with {company}.",
        "{company} and I saw it {when}.",
        "I am late to this one.",
        "this is my {ordinal} review here.",
        "this was my {ordinal} {it} by {last}.",
        "{company} picked this one.",
        "a few words about {title}.",
        "so this is {title}, the new {it} by {name}.",
        "I had {price} dollars and a free evening.",
        "it was {hour} o'clock and I could not sleep.",
        "{name} has a new {it} out.",
        "short review, as I write this on the {ride}.",
    ],
    "film": [
        "I rented this for {price} dollars {when}.",
        "my copy came from a {shop} in {city}.",
        "caught it at a festival in {city}.",
        "we sat in row {small} of an old theater in {city}.",
        "they showed this on the {ride} to {city}.",
        "watched it on {channel} {when}.",
    ],
    "series": [
        "I watched all {small} episodes {when}.",
        "we saw two episodes a night.",
        "it has been on {channel} since {month}.",
        "I started it in {month} and finished it in {month}.",
    ],
    "play": [
        "we had seats in row {small}.",
        "caught it on tour in {city} in {month}.",
        "the doors opened at {hour} and the house was full.",
        "I bought the ticket {when} in {city}.",
    ],
}
FACTS: dict[str, list[str]] = {
    "all": [
        "it is about a {trait} {job} who {deed}.",
        "a {trait} {job} {deed} {then}.",
        "in {place}, a {job} {deed} {then}.",
        "two {jobs} from {city} share a {thing} and a secret.",
        "it is set in {place}, around {year}.",
        "the story begins with a {event} and ends with a {event}.",
        "{name} plays the {job}, {name} the {job}.",
        "{name} directs, and {name} wrote the words.",
        "it takes place in {place}.",
        "there is a {thing}, a {thing} and a {job} in it.",
        "everything turns on a {thing} and a {event}.",
        "we meet a {job}, then a {job}, then a {thing}.",
    ],
    "film": [
        "it runs {minutes} minutes.",
        "it was shot in {city} in {year}.",
        "they made it in {year} for {small} million dollars.",
        "my disc runs {minutes} minutes and has subtitles.",
    ],
    "series": [
        "there are {small} episodes of {minutes2} minutes.",
        "the first season came out in {year}.",
        "each episode runs {minutes2} minutes or so.",
    ],
    "play": [
        "it runs {minutes} minutes with no break.",
        "it was first staged in {city} in {year}.",
        "there are {small} actors in {small} roles.",
    ],
}
CLOSERS = [
    "now to find the {thing2}.",
    "I will leave it at that.",
    "that is all from me.",
    "we walked home along the {walk}.",
    "the bus home took an hour.",
    "my {pet} slept next to me.",
    "stay for the credits.",
    "popcorn was {price} dollars.",
    "outside it had begun to {weather}.",
    "on to the next one.",
    "I have said my piece.",
    "the seats were {seats}.",
    "the room was {seats}.",
    "comments are open.",
    "greetings from {city}.",
]
FILLERS: dict[str, list[str]] = {
    slot: [word.strip() for word in words.split("|")]
    for slot, words in {
        "when": """last night|last weekend|on a wet Tuesday|on a Sunday afternoon|in {month}
            |during the holidays|on Friday night|one morning in {month}|after dinner|last week
            |on my day off|the other day""",
        "company": """my brother|my sister|two friends|my wife|my husband|an old friend|my mother
            |a colleague|the neighbors|my cousins|my book club|three students|my godson|my flatmate
            |a girl from work|my chess partner""",
        "ordinal": "first|second|third|fourth|fifth|tenth|twentieth",
        "hour": "two|three|four|five|six|seven|eight|nine|ten|eleven",
        "ride": "train|ferry|bus|plane|night train|subway",
        "channel": "cable|channel 4|channel 9|my laptop|a big screen|the old television",
        "shop": "flea market|library|thrift store|yard sale|video store|museum shop",
        "month": """January|February|March|April|June|July|August|September|October|November
            |December""",
        "city": """Lisbon|Prague|Glasgow|Oslo|Naples|Chicago|Kyoto|Dublin|Marseille|Toronto|Havana
            |Vienna|Cairo|Nairobi|Boston|Seville|Krakow|Montreal|Istanbul|Ghent|Leeds|Denver
            |Helsinki|Lima|Seoul""",
        "place": """a fishing village|a border town|the Scottish Highlands|a mining town in Wales
            |a monastery|a grand hotel|a ski resort out of season|a suburb of {city}|an island
            |the harbor of {city}|a boarding school|a desert motel|a hospital in {city}|the Alps
            |a houseboat|a vineyard|a research station|a night market in {city}|a lighthouse
            |an apartment in {city}|the outskirts of {city}""",
        "trait": """young|retired|widowed|stubborn|shy|ambitious|homesick|penniless|talkative
            |absent-minded|famous|former|left-handed|sleepless|superstitious|middle-aged|newly wed
            |nearsighted|wealthy|quiet|tall|nervous""",
        "job": """baker|beekeeper|judge|surgeon|violinist|postman|librarian|sailor|teacher|plumber
            |detective|gardener|translator|taxi driver|nurse|pilot|cook|clockmaker|boxer|lawyer
            |painter|photographer|carpenter|farmer|soldier|priest|magician|singer|thief
            |mathematician|glassblower|astronaut|butcher|tailor|piano tuner|hotel clerk|conductor
            |fisherman|widow|miner|spy|mayor|florist|locksmith|jockey|diver|geologist""",
        "jobs": """sisters|brothers|bakers|thieves|sailors|nurses|students|musicians|cooks|widows
            |spies|cousins|dancers|soldiers|strangers|professors""",
        "deed": """inherits a lighthouse|finds a box of letters|loses a bet|adopts a stray dog
            |buys an old piano|receives a postcard from a stranger|wins the lottery
            |misses the last ferry|agrees to smuggle a painting|opens a restaurant
            |is mistaken for a spy|takes in a runaway|learns to swim|discovers a map in an old coat
            |moves in with a rival|goes looking for a lost brother|hides a witness|starts a choir
            |joins a traveling circus|writes letters to a prisoner|sells the family farm
            |steals a {thing}|finds a {thing} in the attic|dreams of a {thing}
            |returns to the village|rents a room to a {job}|follows a {job} to {city}
            |hears a voice on the radio|borrows a {thing} from a {job}|trains for a race
            |wakes up in {city}|builds a boat""",
        "then": """and has to tell the family|and leaves the city the same night
            |while the river rises|and tells no one|before the winter sets in
            |and gets on a train to {city}|with only {small} days to spare
            |until an old friend turns up|and calls a cousin for help|and then comes the {event}
            |and meets a {trait} {job}|in the middle of a {event}|and the police ask questions
            |just before the {event}|and the {job} knows why""",
        "thing": """lighthouse|suitcase|typewriter|violin|bicycle|photograph|telescope|diary|clock
            |mirror|tractor|umbrella|locket|parrot|staircase|radio|garden|wallet|letter|passport
            |boat|camera|key|ring|carpet|map|painting|piano|coat|candle|kite""",
        "thing2": "soundtrack|screenplay|interview|next one|director|bus stop|photographs|car keys",
        "event": """wedding|storm|burglary|funeral|phone call|birthday party|trial|train ride
            |blackout|strike|card game|parade|flood|chess match|snowfall|auction|duel|harvest
            |shipwreck|dance|fire|reunion""",
        "walk": "river|canal|harbor|railway|park|beach|main street|old wall",
        "pet": "dog|cat|parrot|baby|neighbor|sister|hamster",
        "weather": "rain|snow|hail|freeze|storm|clear",
        "seats": "full|empty|half empty|half full|red|old|new|narrow|warm|cold|small|dark",
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
# Numbers: the least and the most.
NUMBERS = {"small": (3, 19), "price": (2, 20), "year": (1931, 2023), "minutes": (71, 189),
           "minutes2": (22, 68)}  # fmt: skip
