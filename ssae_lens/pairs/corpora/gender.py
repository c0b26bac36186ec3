"""Masculine → feminine English words: one concept, `gender`."""

from typing import Any

CONCEPTS = ("gender",)

_TABLE = """
king | queen
prince | princess
duke | duchess
lord | lady
baron | baroness
count | countess
emperor | empress
marquess | marchioness
viscount | viscountess
tsar | tsarina
heir | heiress
nobleman | noblewoman
man | woman
boy | girl
gentleman | gentlewoman
lad | lass
sir | madam
he | she
him | her
himself | herself
male | female
masculine | feminine
manly | womanly
boyish | girlish
kingly | queenly
fatherly | motherly
brotherly | sisterly
paternal | maternal
manhood | womanhood
boyhood | girlhood
fatherhood | motherhood
brotherhood | sisterhood
father | mother
dad | mum
daddy | mummy
papa | mama
grandfather | grandmother
grandpa | grandma
great-grandfather | great-grandmother
husband | wife
bridegroom | bride
widower | widow
bachelor | spinster
boyfriend | girlfriend
fiancé | fiancée
son | daughter
grandson | granddaughter
brother | sister
half-brother | half-sister
uncle | aunt
great-uncle | great-aunt
nephew | niece
stepfather | stepmother
stepson | stepdaughter
stepbrother | stepsister
father-in-law | mother-in-law
son-in-law | daughter-in-law
brother-in-law | sister-in-law
godfather | godmother
godson | goddaughter
patriarch | matriarch
actor | actress
waiter | waitress
steward | stewardess
host | hostess
comedian | comedienne
masseur | masseuse
landlord | landlady
headmaster | headmistress
schoolmaster | schoolmistress
master | mistress
manservant | maidservant
shepherd | shepherdess
hunter | huntress
poet | poetess
songster | songstress
policeman | policewoman
postman | postwoman
fireman | firewoman
businessman | businesswoman
salesman | saleswoman
chairman | chairwoman
spokesman | spokeswoman
congressman | congresswoman
councilman | councilwoman
cameraman | camerawoman
craftsman | craftswoman
sportsman | sportswoman
horseman | horsewoman
fisherman | fisherwoman
cowboy | cowgirl
schoolboy | schoolgirl
choirboy | choirgirl
Englishman | Englishwoman
Frenchman | Frenchwoman
Irishman | Irishwoman
Scotsman | Scotswoman
Welshman | Welshwoman
Dutchman | Dutchwoman
god | goddess
priest | priestess
prophet | prophetess
monk | nun
abbot | abbess
wizard | witch
sorcerer | sorceress
enchanter | enchantress
merman | mermaid
giant | giantess
ogre | ogress
hero | heroine
villain | villainess
murderer | murderess
seducer | seductress
ambassador | ambassadress
benefactor | benefactress
alumnus | alumna
lion | lioness
tiger | tigress
bull | cow
rooster | hen
ram | ewe
stallion | mare
colt | filly
stag | doe
gander | goose
boar | sow
my brother | my sister
an old man | an old woman
a young man | a young woman
the little boy | the little girl
a male nurse | a female nurse
a male doctor | a female doctor
a male teacher | a female teacher
a male singer | a female singer
"""


def rows() -> list[dict[str, Any]]:
    """Give one pair a line."""
    pairs = (line.split(" | ") for line in _TABLE.strip().splitlines())
    return [
        {"source": masculine, "target": feminine, "changes": {"gender": 1}, "content": masculine}
        for masculine, feminine in pairs
    ]
