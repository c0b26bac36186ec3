"""What SAE-TS reads and continues by default: short openings of many kinds, and texts of many kinds to take a loss on."""

# Openings that say little, so that what follows shows what steering does.
PROMPTS = (
    "The other day",
    "My neighbour says",
    "It turns out that",
    "When we arrived,",
    "According to the report",
    "To make this at home,",
    "Dear colleagues,",
    "One of the children",
    "A short history of",
    "What surprised me was",
    "The price of",
    "On the way back",
)

# Plain prose of several registers, each about as long as the others.
TEXTS = (
    "The ferry leaves the harbour at seven every morning and comes back before dark.",
    "Melt the butter in a wide pan, add the onions, and let them soften.",
    "Bees visit more flowers when the fields around them are left to grow wild.",
    "I asked her whether she was coming, but she only shrugged and kept on reading.",
    "The council voted on Tuesday to repair the old bridge instead of building another.",
    "Please send us the signed form by Friday so that we can book your place.",
    "A triangle with two equal sides has two equal angles, and one that may differ.",
    "In winter the lake froze so hard that people walked across it to the town.",
)
