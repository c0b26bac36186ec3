"""What models continue: prompts that choose the scale, prompts that report, prompts of other kinds; and neutral prose.

They are openings that leave the behaviours open: most a subject without a verb.
"""

CHOOSING = (
    "The house by the road",
    "Our new neighbour",
    "This letter",
    "In the waiting room,",
    "The people of the valley",
    "My cousin",
    "The report on the bridge",
    "When the door opened,",
)
REPORTING = (
    "The shop at the corner",
    "An old friend",
    "This photograph",
    "On the way to town,",
    "The members of the club",
    "The child in the picture",
    "The article about the school",
    "After the long meeting,",
)
# What prompts above are not: code, lists, questions, headlines, letters, dialogue.
ELSEWHERE = (
    "def greet(name):\n    ",
    "To do this week:\n1.",
    "Q: What is in the box?\nA:",
    "BREAKING NEWS:",
    "Dear Sir or Madam,\n",
    '"What did you say?" asked the man.\n"',
    "Chapter 12\n\n",
    "Subject: our appointment\n\n",
)
# Where nothing is to be moved: how far steering changes what the model expects here is a side effect.
NEUTRAL = (
    "A clock that is wound once a week loses a minute or two before it is wound again.",
    "The path along the canal is being repaired, and walkers are asked to use the other bank.",
    "Paper was made from rags before it was made from wood.",
    "The number of letters in the alphabet differs from one language to another.",
    "If the lid is stuck, hold the jar under warm water and turn it slowly.",
    "Most of the houses in this street were built by the same firm in the same year.",
    "A map shows what its maker thought worth showing and leaves out the rest.",
    "Tickets are sold at the counter and from the machine beside the entrance.",
)
