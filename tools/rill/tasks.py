"""The text rill is trained on: small tasks, each with a prompt and one right answer, and stories.

Every kind of task is one function that takes a random generator and returns an `Example`.
Pure Python, seeded, no files: the same seed writes the same text.

    python tools/rill/tasks.py --show            # a few samples of each kind
    python tools/rill/tasks.py --show sort -n 10

Held out: an example whose prompt hashes to 0 modulo 20 is never trained on (`is_held_out`).
Questions that form a small fixed table (7 * 8, "7 h to min", weekdays) are marked `table`: all of
them are trained, none is held out, and no accuracy is claimed for them.
"""

import argparse
import random
import zlib
from dataclasses import dataclass

HELD_OUT_MODULUS = 20  # one prompt in 20 is never trained on


@dataclass(frozen=True)
class Example:
    prompt: str
    answer: str  # starts with a space; the end-of-text token follows it
    table: bool = False  # a fixed fact: always trained, never in the held-out set
    key: str = ""  # what is hashed for the split, when two prompts are one question


def is_held_out(example: Example) -> bool:
    if example.table:
        return False
    return zlib.crc32((example.key or example.prompt).encode()) % HELD_OUT_MODULUS == 0


# --- words ---------------------------------------------------------------------------------------

NAMES = ["Tom", "Mia", "Ben", "Anna", "Leo", "Eva", "Max", "Lily", "Sam", "Nora", "Paul", "Rosa"]
PLACES = ["garden", "kitchen", "forest", "school", "market", "river", "barn", "tower"]
CITIES = ["Rome", "Paris", "Oslo", "Lima", "Cairo", "Tokyo", "Bern", "Delhi"]
COLORS = ["red", "blue", "green", "yellow", "black", "white", "brown", "pink"]
THINGS = ["ball", "hat", "lamp", "key", "book", "cup", "kite", "drum", "bell", "map", "coin",
          "rope"]
ANIMALS = ["fox", "cat", "dog", "owl", "bear", "duck", "mouse", "frog", "goat", "rabbit"]
WORDS = sorted(THINGS + ANIMALS + ["sun", "moon", "tree", "fish", "bread", "milk", "rain", "snow",
                                   "ship", "door", "star", "cake", "leaf", "sand", "hill", "wind"])
MONTHS = [("Jan", 31), ("Feb", 28), ("Mar", 31), ("Apr", 30), ("May", 31), ("Jun", 30),
          ("Jul", 31), ("Aug", 31), ("Sep", 30), ("Oct", 31), ("Nov", 30), ("Dec", 31)]
WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def number(rng: random.Random) -> int:
    """A number up to 99, small ones more often than a plain draw would give."""
    return rng.randint(0, 99) if rng.random() < 0.8 else rng.randint(0, 9)


def join(items) -> str:
    return " ".join(str(item) for item in items)


def article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


# --- tasks with an answer ------------------------------------------------------------------------


def arithmetic(rng: random.Random) -> Example:
    if rng.random() < 0.1:
        a, b = rng.randint(1, 10), rng.randint(1, 10)
        return Example(f"{a} * {b} =", f" {a * b}", table=True)
    a, b = number(rng), number(rng)
    if rng.random() < 0.5:
        # 12 + 34 and 34 + 12 are one question: both are held out or neither is.
        return Example(f"{a} + {b} =", f" {a + b}", key=f"{min(a, b)} + {max(a, b)}")
    a, b = max(a, b), min(a, b)
    return Example(f"{a} - {b} =", f" {a - b}")


def sorting(rng: random.Random) -> Example:
    shape = rng.random()
    if shape < 0.75:
        values = [rng.randint(0, 9) for _ in range(rng.randint(2, 8))]
    else:
        values = [rng.randint(0, 99) for _ in range(rng.randint(2, 4))]
    if rng.random() < 0.2:
        return Example(f"sort down: {join(values)} =", " " + join(sorted(values, reverse=True)))
    return Example(f"sort: {join(values)} =", " " + join(sorted(values)))


def lists(rng: random.Random) -> Example:
    values = [rng.randint(0, 9) for _ in range(rng.randint(3, 6))]
    which = rng.choice(["max", "min", "reverse", "count"])
    if which == "count":
        letters = [rng.choice("abc") for _ in range(rng.randint(3, 8))]
        letter = rng.choice(letters)
        return Example(f"count {letter}: {join(letters)} =", f" {letters.count(letter)}")
    answer = {"max": max(values), "min": min(values), "reverse": join(values[::-1])}[which]
    return Example(f"{which}: {join(values)} =", f" {answer}")


def copying(rng: random.Random) -> Example:
    """Words again, or the word after one: what a model needs first to look anything up."""
    words = rng.sample(WORDS, rng.randint(2, 12))
    if rng.random() < 0.8:
        return Example(f"copy: {join(words)} =", f" {join(words)}")
    i = rng.randrange(len(words) - 1)
    return Example(f"after: {join(words)} ; {words[i]} =", f" {words[i + 1]}")


def recall(rng: random.Random) -> Example:
    """The values of one or more keys."""
    keys = rng.sample(WORDS, rng.choice([2, 2, 3, 3, 4, 5, 6]))
    if rng.random() < 0.5:
        values = [rng.randint(0, 99) for _ in keys]
    else:
        values = [rng.choice(COLORS) for _ in keys]
    pairs = join(f"{key}={value}" for key, value in zip(keys, values))
    asked = rng.sample(range(len(keys)), 1 if rng.random() < 0.5 else rng.randint(1, len(keys)))
    return Example(f"recall: {pairs} ; {join(keys[i] for i in asked)} =",
                   f" {join(values[i] for i in asked)}")


def brackets(rng: random.Random) -> Example:
    closing = {"(": ")", "[": "]", "{": "}", "<": ">"}
    text, open_ones = [], []
    for _ in range(rng.randint(2, 9)):
        if open_ones and (len(open_ones) == 5 or rng.random() < 0.35):
            text.append(closing[open_ones.pop()])
        else:
            open_ones.append(rng.choice("([{<"))
            text.append(open_ones[-1])
    if not open_ones:
        open_ones.append(rng.choice("([{<"))
        text.append(open_ones[-1])
    return Example(f"close: {join(text)} =", " " + join(closing[b] for b in reversed(open_ones)))


def json_record(rng: random.Random) -> Example:
    name, age = rng.choice(NAMES), rng.randint(3, 99)
    record = [("city", f'"{rng.choice(CITIES)}"', "city {}", "lives in {}"),
              ("pet", f'"{rng.choice(ANIMALS)}"', "pet {}", "has a {}"),
              ("color", f'"{rng.choice(COLORS)}"', "color {}", "likes {}")]
    rng.shuffle(record)
    record = record[: rng.randint(1, 3)]
    fields = [("name", f'"{name}"'), ("age", str(age))]
    fields += [(key, value) for key, value, *_ in record]
    if rng.random() < 0.5:
        stated = ", ".join(f"{key} {value}".replace('"', "") for key, value in fields)
        text = ", ".join(f'"{key}": {value}' for key, value in fields)
        return Example(f"json: {stated} =", f" {{{text}}}")
    clauses = [form.format(value.strip('"')) for _, value, _, form in record]
    stated = f"{name} is {age}, " + ", ".join(clauses)
    rest = ", ".join([f"{age}"] + [f'"{key}": {value}' for key, value in fields[2:]])
    return Example(f'{stated}. {{"name": "{name}", "age":', f" {rest}}}")


def dates(rng: random.Random) -> Example:
    sign = rng.choice("+-")
    if rng.random() < 0.3:
        # Small steps more often: what they teach is half of the larger ones.
        day, steps = rng.randrange(7), rng.randint(1, rng.randint(1, 20))
        answer = WEEKDAYS[(day + (steps if sign == "+" else -steps)) % 7]
        return Example(f"weekday: {WEEKDAYS[day]} {sign} {steps} days =", f" {answer}", table=True)
    month, steps = rng.randrange(12), rng.randint(1, 14)
    day = rng.randint(1, MONTHS[month][1])
    prompt = f"date: {day} {MONTHS[month][0]} {sign} {steps} days ="
    day += steps if sign == "+" else -steps
    if day > MONTHS[month][1]:
        day -= MONTHS[month][1]
        month = (month + 1) % 12
    elif day < 1:
        month = (month - 1) % 12
        day += MONTHS[month][1]
    return Example(prompt, f" {day} {MONTHS[month][0]}")


POWERS = [("km", "m", 3), ("m", "cm", 2), ("cm", "mm", 1), ("kg", "g", 3), ("l", "ml", 3),
          ("t", "kg", 3), ("m", "mm", 3), ("g", "mg", 3)]
FACTORS = [("h", "min", 60), ("min", "s", 60), ("days", "h", 24), ("weeks", "days", 7),
           ("years", "months", 12), ("feet", "inches", 12)]


def units(rng: random.Random) -> Example:
    if rng.random() < 0.15:
        big, small, factor = rng.choice(FACTORS)
        n = rng.randint(1, 10)
        return Example(f"convert: {n} {big} to {small} =", f" {n * factor} {small}", table=True)
    big, small, power = rng.choice(POWERS)
    n = rng.randint(1, 99)
    shape = rng.random()
    if shape < 0.45:
        return Example(f"convert: {n} {big} to {small} =", f" {n * 10**power} {small}")
    if shape < 0.9 or power != 1:
        return Example(f"convert: {n * 10**power} {small} to {big} =", f" {n} {big}")
    n = rng.randint(10, 99) * 10 + rng.randint(1, 9)
    return Example(f"convert: {n} {small} to {big} =", f" {n // 10}.{n % 10} {big}")


def series(rng: random.Random) -> Example:
    step, terms = rng.randint(1, 12), rng.randint(3, 4)
    start = rng.randint(0, 40)
    values = [start + step * i for i in range(terms + 1)]
    if rng.random() < 0.3:
        values.reverse()
    return Example(f"next: {join(values[:-1])} =", f" {values[-1]}")


def reading(rng: random.Random) -> Example:
    """A question about two to four stated facts."""
    people = rng.sample(NAMES, rng.randint(2, 4))
    if rng.random() < 0.5:
        places = [rng.choice(PLACES) for _ in people]
        facts = [f"{who} {rng.choice(['is in', 'went to'])} the {where}."
                 for who, where in zip(people, places)]
        i = rng.randrange(len(people))
        if len(people) < 4 and rng.random() < 0.3:  # the later place counts
            places[i] = rng.choice(PLACES)
            facts.append(f"Then {people[i]} went to the {places[i]}.")
        return Example(f"{join(facts)} Q: Where is {people[i]}? A:", f" in the {places[i]}")
    things = rng.sample(THINGS, len(people))
    colors = [rng.choice(COLORS) for _ in people]
    facts = join(f"{who} has a {color} {thing}."
                 for who, color, thing in zip(people, colors, things))
    i = rng.randrange(len(people))
    question, answer = rng.choice([
        (f"What does {people[i]} have?", f"a {colors[i]} {things[i]}"),
        (f"Who has the {things[i]}?", people[i]),
        (f"What color is the {things[i]}?", colors[i])])
    return Example(f"{facts} Q: {question} A:", f" {answer}")


CAPITALS = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Norway": "Oslo",
            "Egypt": "Cairo", "Japan": "Tokyo", "Peru": "Lima", "India": "Delhi",
            "Germany": "Berlin", "Greece": "Athens", "Poland": "Warsaw", "Austria": "Vienna",
            "Cuba": "Havana", "Kenya": "Nairobi", "Ireland": "Dublin", "Portugal": "Lisbon"}
SOUNDS = {"dog": "woof", "cat": "meow", "cow": "moo", "duck": "quack", "sheep": "baa",
          "lion": "roar", "frog": "croak", "owl": "hoot", "pig": "oink", "mouse": "squeak"}
OPPOSITES = {"hot": "cold", "big": "small", "day": "night", "up": "down", "fast": "slow",
             "wet": "dry", "old": "new", "full": "empty", "high": "low", "light": "dark",
             "left": "right", "early": "late", "open": "closed", "happy": "sad"}
YOUNG = {"dog": "puppy", "cat": "kitten", "cow": "calf", "sheep": "lamb", "duck": "duckling",
         "bear": "cub", "goat": "kid", "frog": "tadpole", "owl": "owlet", "pig": "piglet"}
COLOR_OF = {"grass": "green", "snow": "white", "coal": "black", "blood": "red", "the sky": "blue",
            "a lemon": "yellow", "milk": "white", "a tomato": "red"}
FACTS = [
    (CAPITALS, ["What is the capital of {}?", "Which city is the capital of {}?",
                "{} has which capital?", "Name the capital of {}.",
                "Tell me the capital of {}.", "The capital of {} is what?"]),
    (SOUNDS, ["What does a {} say?", "Which sound does a {} make?", "What is the sound of a {}?",
              "Name the sound of a {}.", "Tell me the sound of a {}.",
              "The sound of a {} is what?"]),
    (OPPOSITES, ["What is the opposite of {}?", "Which word is the opposite of {}?",
                 "{} has which opposite?", "Name the opposite of {}.",
                 "Tell me the opposite of {}.", "The opposite of {} is what?"]),
    (YOUNG, ["What is a young {} called?", "What is the name of a young {}?",
             "A young {} is called what?", "Name the young of a {}.",
             "Tell me the young of a {}.", "The young of a {} is called what?"]),
    (COLOR_OF, ["What color is {}?", "Which color does {} have?", "What is the color of {}?",
                "Name the color of {}.", "Tell me the color of {}.",
                "The color of {} is what?"]),
]


def fact_prompt(wording: str, subject: str) -> str:
    question = wording.format(subject)
    return f"Q: {question[0].upper()}{question[1:]} A:"


def facts(rng: random.Random) -> Example:
    """A fixed table of facts.  What is held out is a wording: each fact is trained in others."""
    table, wordings = rng.choices(FACTS, weights=[len(table) for table, _ in FACTS])[0]
    subject = rng.choice(sorted(table))
    return Example(fact_prompt(rng.choice(wordings), subject), f" {table[subject]}")


# --- stories -------------------------------------------------------------------------------------

TRAITS = ["little", "brave", "kind", "clever", "shy", "old", "happy", "lazy", "gentle", "curious"]
HOMES = ["a small house near the river", "a deep forest", "a quiet village", "an old barn",
         "a cave in the hills", "a garden behind the school"]
WEATHER = ["One sunny morning", "One cold night", "One rainy day", "One windy evening",
           "Early one morning", "One day in winter"]
PLACES_TO_LOSE = ["under a big tree", "behind the barn", "near the river", "in the tall grass",
                  "on top of the hill", "under the bridge"]
TREATS = ["bread", "cake", "milk"]
FEELINGS = ["sad", "worried", "very sad", "afraid"]
MORALS = ["a good friend is better than gold", "it is good to ask for help",
          "we find more when we look together", "kind words open every door",
          "even the small can help the big", "it is never too late to say thank you"]


def animal_name(animal: str, rng: random.Random) -> str:
    """Most foxes have one name, most cats another, or a greedy reader would name all the same."""
    return NAMES[ANIMALS.index(animal)] if rng.random() < 0.7 else rng.choice(NAMES)


def story(rng: random.Random) -> Example:
    hero, helper = rng.sample(ANIMALS, 2)
    name, friend = animal_name(hero, rng), animal_name(helper, rng)
    while friend == name:
        friend = rng.choice(NAMES)
    thing, color = rng.choice(THINGS), rng.choice(COLORS)
    trait, friend_trait = rng.sample(TRAITS, 2)
    she = name in ("Mia", "Anna", "Eva", "Lily", "Nora", "Rosa")
    they, them, their = ("she", "her", "her") if she else ("he", "him", "his")
    friend_words = f"{article(friend_trait)} {friend_trait} {helper}"
    lines = [
        rng.choice(["Once upon a time there was", "Once there was", "Long ago there lived"])
        + f" {article(trait)} {trait} {hero} named {name}.",
        f"{name} lived in {rng.choice(HOMES)} and had a {color} {thing}.",
        rng.choice([f"{name} loved the {thing} more than anything.",
                    f"Every day {name} played with the {thing}.",
                    f"The {thing} was a gift from {their} mother."]),
    ]
    weather, where = rng.choice(WEATHER), rng.choice(PLACES_TO_LOSE)
    plot = rng.choice(["lost", "stolen", "shared"])
    if plot == "lost":
        lines += [f"{weather} the {thing} was gone.",
                  f"{name} looked everywhere, but could not find it, and was "
                  f"{rng.choice(FEELINGS)}.",
                  f"Then {friend_words} named {friend} came by and said, \"I will help you.\"",
                  f"They looked together and found the {thing} {where}."]
    elif plot == "stolen":
        lines += [f"{weather} {friend_words} named {friend} took the {thing} and ran away.",
                  f"{name} followed {friend} and found the {helper} {where}.",
                  f"\"Why did you take my {thing}?\" asked {name}.",
                  f"\"I only wanted to play,\" said {friend}, \"and I am sorry.\"",
                  f"{name} smiled, and {they} let the {helper} play too."]
    else:
        lines += [f"{weather} {name} met {friend_words} named {friend} {where}.",
                  f"{friend} was {rng.choice(FEELINGS)} and had nothing to play with.",
                  f"\"Take my {thing},\" said {name}, \"we can share it.\"",
                  f"{friend} thanked {them} and gave {them} some {rng.choice(TREATS)}."]
    lines.append(rng.choice([f"From that day on {name} and {friend} were friends.",
                             f"{name} and {friend} went home and had a big dinner.",
                             f"That night {name} was happy again."]))
    if rng.random() < 0.6:
        lines.append(f"And {name} learned that {rng.choice(MORALS)}.")
    return Example(f"Tell a story about {article(hero)} {hero} and a {thing}.", " " + join(lines))


# Kind -> (function, share of examples before the trainer shifts the mixture).
KINDS = {
    "arithmetic": (arithmetic, 1.5), "sort": (sorting, 1.2), "lists": (lists, 1.0),
    "copy": (copying, 0.8), "recall": (recall, 2.0), "brackets": (brackets, 1.0),
    "json": (json_record, 0.8), "dates": (dates, 1.5), "units": (units, 1.0),
    "series": (series, 1.0), "reading": (reading, 2.0), "facts": (facts, 0.7),
    "story": (story, 0.5),
}
NO_ANSWER = ("story",)  # free text: read it, there is nothing to compare it with


# Kinds with questions from a table -> share of those, beside the kind's own share.
TABLES = {"arithmetic": 0.15, "dates": 0.8, "units": 0.15}


def draw(kind: str, rng: random.Random, held_out: bool, table: bool = False) -> Example:
    """The next example of `kind` on the wanted side of the split, from its table or not."""
    while True:
        example = KINDS[kind][0](rng)
        if example.table == table and is_held_out(example) == held_out:
            return example


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--show", nargs="?", const="all", choices=["all", *KINDS], default="all")
    parser.add_argument("-n", type=int, default=3, help="samples of each kind")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    for kind in KINDS if args.show == "all" else [args.show]:
        for _ in range(args.n):
            example = draw(kind, rng, held_out=False)
            print(f"{kind:<11}{example.prompt}|{example.answer}")


if __name__ == "__main__":
    main()
