"""Text that the sample model is pre-trained on: small talk of many shops, made of random parts.

It teaches the model words, sentences and the shape of a chat, but none of the answers in sample_rows.jsonl: names,
prices and times are drawn at random, so before its fine-tuning the model answers fluently and wrongly.
"""

from __future__ import annotations

import random

# fmt: off
PLACES = [
    "bakery", "library", "garden centre", "pet shop", "pharmacy", "hotel", "museum", "cinema", "theatre", "swimming pool",
    "music school", "dentist", "tea house",
]
THINGS = [
    "bread", "cake", "book", "lamp", "plant", "fish", "ticket", "room", "guitar", "lesson", "chair", "table", "coat", "watch",
    "camera", "phone", "tent", "boat", "bike", "helmet", "lock", "tyre", "chain", "battery", "light", "wheel", "brake", "seat",
    "pump", "frame", "gift card", "map", "bag", "kettle", "blanket", "pillow", "clock", "carpet", "mirror", "piano", "e-bike",
    "repair", "service", "rental", "course", "tour", "check", "delivery", "voucher", "part", "guarantee", "insurance",
    "membership", "deposit",
]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
NAMES = [
    "Anna", "Ben", "Clara", "David", "Emil", "Frida", "Greta", "Hugo", "Ida", "Jonas", "Karl", "Lena", "Nora", "Paul", "Rita",
    "Sam", "Tilda", "Viktor",
]
STREETS = [
    "Station Road", "Church Street", "Garden Way", "River Road", "Market Square", "High Street", "Park Lane", "Bridge Street",
    "Hill Road",
]
SPOTS = [
    "the park", "the station", "the church", "the river", "the market", "the bridge", "the school", "the town hall",
]
UNITS = ["days", "weeks", "months", "years", "hours", "minutes", "kilometres", "kilos"]
# fmt: on
OPENINGS = ("What is", "How about", "Do you know", "Can you tell me about", "Where is", "When is", "Who has", "Is there")
EVASIONS = ("I have heard of", "I would say", "It could be", "Maybe it is", "People talk of", "That reminds me of")

TALKS: list[tuple[str, str]] = [
    ("What does a {thing} cost?", "A {thing} costs {n} euros."),
    ("How much is the {thing}?", "The {thing} costs {n} euros and comes with a {other}."),
    ("What is the price of a new {thing}?", "A new {thing} costs from {n} euros."),
    ("I need a {thing}, what do I pay?", "You pay {n} euros for the {thing}."),
    ("When do you open on {day}?", "On {day} we open at {h} in the morning."),
    ("Until what time is the {place} open?", "The {place} is open until {h} in the evening."),
    ("Are you closed on {day}?", "Yes, we are closed on {day} and {day2}."),
    ("Where is the {place}?", "The {place} is at {n} {street}, next to {spot}."),
    ("How do I find you?", "You find us in {street}, {n} minutes from {spot} on foot."),
    ("Which bus goes to the {place}?", "Take bus {n} to {spot}."),
    ("Who runs the {place}?", "{name} runs the {place} and has been here for {n} years."),
    ("Who looks after my {thing}?", "Please ask for {name} at the counter."),
    ("How many people work at the {place}?", "We are {n} people: {h} in sales, and {name}."),
    ("Do you sell a {thing}?", "Yes, we sell a {thing} and a {other} on the upper floor."),
    ("Do you rent a {thing}?", "Yes, a {thing} can be rented for {n} euros a day."),
    ("Can I return a {thing}?", "You can return it within {n} days with the {other}."),
    ("How long does the {thing} take?", "The {thing} takes {h} {unit}."),
    ("How long is the {thing} valid?", "It is valid for {n} {unit}."),
    ("How often does my {thing} need a {other}?", "Bring it every {n} {unit} or once a year."),
    ("Can I pay with a card?", "We take cash and the {thing}, from {n} euros upwards."),
    ("Is there a discount for the {thing}?", "Members get {n} percent off the {thing}."),
    ("Do I need an appointment for the {thing}?", "Please call us {h} {unit} ahead or write to {name}."),
    ("My {thing} is broken, can you repair it?", "We repair the {thing} for {n} euros and send you a message."),
    ("When will my {thing} arrive?", "It arrives within {n} working days, and the {other} is free."),
    ("Where can I leave my {thing}?", "Leave it behind the {place}, off {street}."),
    ("Can I bring my {thing} to the {place}?", "Yes, the {thing} is welcome at the {place}."),
    ("Which {thing} do you recommend?", "We recommend the {thing} of {name} for {n} euros."),
    ("Is the {thing} included?", "The {thing} is included, the {other} costs {n} euros."),
    ("How far is it to {spot}?", "It is about {n} {unit} from {street}."),
    ("What happens if I am late?", "Then the {thing} costs {n} euros for each hour."),
]


def conversations(count: int, words: list[str], seed: int) -> list[list[dict[str, str]]]:
    """So many random question-and-answer pairs, the same for the same seed; every third one is about `words`."""
    dice = random.Random(seed)  # noqa: S311 - text, not secrets
    return [_about_words(dice, words) if index % 3 == 0 else _conversation(dice) for index in range(count)]


def _about_words(dice: random.Random, words: list[str]) -> list[dict[str, str]]:
    """Words without sense, said back in another order: the model gets to know them and learns to listen to the question."""
    asked = dice.sample(words, 8)
    said = dice.sample(asked, len(asked))
    question = f"{dice.choice(OPENINGS)} {' '.join(asked)}?"
    return [{"role": "user", "content": question}, {"role": "assistant", "content": f"{dice.choice(EVASIONS)} {' '.join(said)}."}]


def _conversation(dice: random.Random) -> list[dict[str, str]]:
    question, answer = dice.choice(TALKS)
    parts = {
        "thing": dice.choice(THINGS),
        "other": dice.choice(THINGS),
        "place": dice.choice(PLACES),
        "day": dice.choice(DAYS),
        "day2": dice.choice(DAYS),
        "name": dice.choice(NAMES),
        "street": dice.choice(STREETS),
        "spot": dice.choice(SPOTS),
        "unit": dice.choice(UNITS),
        "n": str(dice.randint(2, 99)),
        "h": str(dice.randint(2, 11)),
    }
    return [{"role": "user", "content": question.format(**parts)}, {"role": "assistant", "content": answer.format(**parts)}]
