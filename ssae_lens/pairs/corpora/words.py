"""Everyday nouns in English, French and, for many, German.

One noun a line: English, French, German. A noun whose German word is spelled like the English or the French one (hand,
Hand) stands without it. No word stands twice in a language, and none is spelled alike in two of them.
"""

_TABLE = """
house | maison | Haus
door | porte | Tür
window | fenêtre | Fenster
wall | mur | Mauer
floor | plancher | Fußboden
ceiling | plafond | Zimmerdecke
roof | toit | Dach
staircase | escalier | Treppe
kitchen | cuisine | Küche
bedroom | chambre | Schlafzimmer
garden | jardin
basement | sous-sol | Keller
attic | grenier | Dachboden
chimney | cheminée | Schornstein
key | clé | Schlüssel
lock | serrure | Türschloss
doorbell | sonnette | Klingel
corridor | couloir | Flur
shelf | étagère | Regal
drawer | tiroir | Schublade
cupboard | placard | Schrank
wardrobe | armoire | Kleiderschrank
desk | bureau | Schreibtisch
chair | chaise | Stuhl
armchair | fauteuil | Sessel
stool | tabouret | Hocker
bed | lit | Bett
pillow | oreiller | Kopfkissen
blanket | couverture | Decke
mattress | matelas | Matratze
curtain | rideau | Vorhang
carpet | tapis | Teppich
mirror | miroir | Spiegel
lamp | lampe
candle | bougie | Kerze
clock | horloge | Uhr
cushion | coussin
broom | balai | Besen
bucket | seau | Eimer
sponge | éponge | Schwamm
soap | savon | Seife
towel | serviette | Handtuch
comb | peigne | Kamm
brush | brosse | Bürste
razor | rasoir | Rasierer
needle | aiguille | Nadel
thread | fil | Faden
button | bouton | Knopf
scissors | ciseaux | Schere
hammer | marteau
saw | scie | Säge
screw | vis | Schraube
screwdriver | tournevis | Schraubenzieher
ladder | échelle | Leiter
rope | corde | Seil
shovel | pelle | Schaufel
rake | râteau | Rechen
bag | sac | Tasche
suitcase | valise | Koffer
box | boîte | Schachtel
basket | panier | Korb
bottle | bouteille | Flasche
glass | verre
cup | tasse
plate | assiette | Teller
bowl | bol | Schüssel
fork | fourchette | Gabel
knife | couteau | Messer
spoon | cuillère | Löffel
saucepan | casserole | Kochtopf
frying pan | poêle | Bratpfanne
lid | couvercle | Deckel
oven | four | Backofen
refrigerator | réfrigérateur | Kühlschrank
sink | évier | Spülbecken
tap | robinet | Wasserhahn
bathtub | baignoire | Badewanne
shower | douche | Dusche
dustbin | poubelle | Mülleimer
tablecloth | nappe | Tischdecke
tray | plateau | Tablett
kettle | bouilloire | Wasserkocher
teapot | théière | Teekanne
corkscrew | tire-bouchon | Korkenzieher
funnel | entonnoir | Trichter
ladle | louche | Schöpfkelle
whisk | fouet | Schneebesen
barrel | tonneau | Fass
umbrella | parapluie | Regenschirm
computer | ordinateur
screen | écran | Bildschirm
keyboard | clavier | Tastatur
newspaper | journal | Zeitung
book | livre | Buch
notebook | cahier | Heft
pencil | crayon | Bleistift
pen | stylo | Kugelschreiber
eraser | gomme | Radiergummi
paper | papier
letter | lettre | Brief
envelope | enveloppe | Umschlag
stamp | timbre | Briefmarke
toy | jouet | Spielzeug
doll | poupée | Puppe
kite | cerf-volant | Drachen
bicycle | vélo | Fahrrad
car | voiture | Auto
boat | bateau | Boot
plane | avion | Flugzeug
lorry | camion | Lastwagen
wheel | roue | Rad
shirt | chemise | Hemd
trousers | pantalon | Hose
skirt | jupe | Rock
dress | robe | Kleid
coat | manteau | Mantel
jacket | veste | Jacke
sock | chaussette | Socke
shoe | chaussure | Schuh
boot | botte | Stiefel
hat | chapeau | Hut
scarf | écharpe | Schal
glove | gant | Handschuh
belt | ceinture | Gürtel
tie | cravate | Krawatte
sleeve | manche | Ärmel
necklace | collier | Halskette
glasses | lunettes | Brille
handkerchief | mouchoir | Taschentuch
apron | tablier | Schürze
wallet | portefeuille | Geldbeutel
bread | pain | Brot
butter | beurre
cheese | fromage | Käse
milk | lait | Milch
egg | œuf | Ei
meat | viande | Fleisch
chicken | poulet | Hähnchen
fish | poisson | Fisch
ham | jambon | Schinken
sausage | saucisse | Wurst
soup | soupe
salad | salade
rice | riz | Reis
flour | farine | Mehl
sugar | sucre | Zucker
salt | sel | Salz
pepper | poivre | Pfeffer
oil | huile | Öl
vinegar | vinaigre | Essig
honey | miel | Honig
jam | confiture | Marmelade
cake | gâteau | Kuchen
chocolate | chocolat | Schokolade
coffee | café
tea | thé
water | eau | Wasser
wine | vin | Wein
beer | bière | Bier
juice | jus | Saft
apple | pomme | Apfel
pear | poire | Birne
peach | pêche | Pfirsich
cherry | cerise | Kirsche
strawberry | fraise | Erdbeere
raspberry | framboise | Himbeere
lemon | citron | Zitrone
watermelon | pastèque | Wassermelone
banana | banane
apricot | abricot | Aprikose
fig | figue | Feige
walnut | noix | Walnuss
hazelnut | noisette | Haselnuss
almond | amande | Mandel
carrot | carotte | Karotte
onion | oignon | Zwiebel
garlic | ail | Knoblauch
tomato | tomate
cucumber | concombre | Gurke
cabbage | chou | Kohl
lettuce | laitue | Kopfsalat
mushroom | champignon | Pilz
bean | haricot | Bohne
leek | poireau | Lauch
pumpkin | citrouille | Kürbis
radish | radis | Radieschen
cream | crème | Sahne
yoghurt | yaourt
mustard | moutarde | Senf
dog | chien | Hund
cat | chat | Katze
horse | cheval | Pferd
cow | vache | Kuh
pig | cochon | Schwein
sheep | mouton | Schaf
goat | chèvre | Ziege
duck | canard | Ente
rabbit | lapin | Kaninchen
mouse | souris | Maus
bird | oiseau | Vogel
bee | abeille | Biene
ant | fourmi | Ameise
spider | araignée | Spinne
butterfly | papillon | Schmetterling
snail | escargot | Schnecke
frog | grenouille | Frosch
tree | arbre | Baum
flower | fleur | Blume
leaf | feuille | Blatt
grass | herbe
branch | branche | Ast
root | racine | Wurzel
seed | graine | Samenkorn
stone | pierre | Stein
sand | sable
river | rivière | Fluss
lake | lac | See
island | île | Insel
mountain | montagne | Berg
forest | forêt | Wald
sky | ciel | Himmel
sun | soleil | Sonne
moon | lune | Mond
star | étoile | Stern
cloud | nuage | Wolke
rain | pluie | Regen
snow | neige | Schnee
wind | vent
fire | feu | Feuer
smoke | fumée | Rauch
ash | cendre | Asche
head | tête | Kopf
hair | cheveux | Haare
eye | œil | Auge
nose | nez | Nase
mouth | bouche | Mund
tooth | dent | Zahn
tongue | langue | Zunge
ear | oreille | Ohr
shoulder | épaule | Schulter
arm | bras
elbow | coude | Ellbogen
hand | main
finger | doigt
leg | jambe | Bein
knee | genou | Knie
foot | pied | Fuß
heart | cœur | Herz
skin | peau | Haut
bone | os | Knochen
blood | sang | Blut
street | rue | Straße
bridge | pont | Brücke
church | église | Kirche
school | école | Schule
shop | magasin | Laden
market | marché | Markt
bakery | boulangerie | Bäckerei
hospital | hôpital | Krankenhaus
library | bibliothèque
town | ville | Stadt
castle | château | Schloss
farm | ferme | Bauernhof
"""

WORDS: tuple[tuple[str, ...], ...] = tuple(
    tuple(word.strip() for word in line.split("|")) for line in _TABLE.strip().splitlines()
)
