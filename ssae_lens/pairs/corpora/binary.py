"""Language × gender: two concepts, changed one at a time and both at once, in either direction.

`language` is +1 from English to French, `gender` +1 from masculine to feminine.
"""

from itertools import permutations, product
from typing import Any

CONCEPTS = ("language", "gender")

# English masculine and feminine, French masculine and feminine; no form is shared between lines.
_TABLE = """
king | queen | roi | reine
duke | duchess | duc | duchesse
count | countess | comte | comtesse
viscount | viscountess | vicomte | vicomtesse
marquess | marchioness | marquis | marquise
emperor | empress | empereur | impératrice
lord | lady | seigneur | dame
heir | heiress | héritier | héritière
man | woman | homme | femme
boy | girl | garçon | fille
male | female | mâle | femelle
father | mother | père | mère
dad | mum | papa | maman
grandfather | grandmother | grand-père | grand-mère
grandpa | grandma | papi | mamie
great-grandfather | great-grandmother | arrière-grand-père | arrière-grand-mère
husband | wife | époux | épouse
bridegroom | bride | marié | mariée
widower | widow | veuf | veuve
boyfriend | girlfriend | copain | copine
brother | sister | frère | sœur
half-brother | half-sister | demi-frère | demi-sœur
brother-in-law | sister-in-law | beau-frère | belle-sœur
stepfather | stepmother | beau-père | belle-mère
stepson | stepdaughter | beau-fils | belle-fille
grandson | granddaughter | petit-fils | petite-fille
uncle | aunt | oncle | tante
great-uncle | great-aunt | grand-oncle | grand-tante
nephew | niece | neveu | nièce
godfather | godmother | parrain | marraine
godson | goddaughter | filleul | filleule
patriarch | matriarch | patriarche | matriarche
actor | actress | acteur | actrice
waiter | waitress | serveur | serveuse
host | hostess | hôte | hôtesse
salesman | saleswoman | vendeur | vendeuse
policeman | policewoman | policier | policière
postman | postwoman | facteur | factrice
fireman | firewoman | pompier | pompière
businessman | businesswoman | homme d'affaires | femme d'affaires
fisherman | fisherwoman | pêcheur | pêcheuse
hunter | huntress | chasseur | chasseuse
shepherd | shepherdess | berger | bergère
craftsman | craftswoman | artisan | artisane
horseman | horsewoman | cavalier | cavalière
sportsman | sportswoman | sportif | sportive
poet | poetess | poète | poétesse
headmaster | headmistress | directeur | directrice
schoolmaster | schoolmistress | instituteur | institutrice
schoolboy | schoolgirl | écolier | écolière
master | mistress | maître | maîtresse
ambassador | ambassadress | ambassadeur | ambassadrice
benefactor | benefactress | bienfaiteur | bienfaitrice
god | goddess | dieu | déesse
priest | priestess | prêtre | prêtresse
prophet | prophetess | prophète | prophétesse
monk | nun | moine | nonne
abbot | abbess | abbé | abbesse
wizard | witch | sorcier | sorcière
enchanter | enchantress | enchanteur | enchanteresse
giant | giantess | géant | géante
hero | heroine | héros | héroïne
murderer | murderess | meurtrier | meurtrière
Englishman | Englishwoman | Anglais | Anglaise
Frenchman | Frenchwoman | Français | Française
Irishman | Irishwoman | Irlandais | Irlandaise
Scotsman | Scotswoman | Écossais | Écossaise
Welshman | Welshwoman | Gallois | Galloise
Dutchman | Dutchwoman | Néerlandais | Néerlandaise
tiger | tigress | tigre | tigresse
bull | cow | taureau | vache
rooster | hen | coq | poule
ram | ewe | bélier | brebis
stallion | mare | étalon | jument
stag | doe | cerf | biche
drake | duck | canard | cane
gander | goose | jars | oie
boar | sow | verrat | truie
"""


def rows() -> list[dict[str, Any]]:
    """Give the twelve ordered pairs among the four forms of each noun."""
    made = []
    for line in _TABLE.strip().splitlines():
        forms = dict(zip(product((0, 1), repeat=2), line.split(" | "), strict=True))
        for (from_place, source), (to_place, target) in permutations(forms.items(), 2):
            changes = {
                concept: after - before for concept, before, after in zip(CONCEPTS, from_place, to_place, strict=True)
            }
            made.append({"source": source, "target": target, "changes": changes, "content": forms[0, 0]})
    return made
