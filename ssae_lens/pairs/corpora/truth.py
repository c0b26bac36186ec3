"""Questions with a right and a wrong answer: one concept, `truth`.

The lines under a `# topic` are question | right answer | wrong answer. The two answers are alike in form and length, so
that what tells them apart is that one is true. Only facts that do not change from year to year are asked for.
"""

from typing import Any

from ssae_lens.pairs.readers import question_and_answer

CONCEPTS = ("truth",)

_TABLE = """
# geography
What is the capital of Australia? | Canberra | Sydney
What is the capital of Canada? | Ottawa | Toronto
What is the capital of Turkey? | Ankara | Istanbul
What is the capital of Switzerland? | Bern | Zurich
What is the capital of Brazil? | Brasília | Rio de Janeiro
What is the capital of New Zealand? | Wellington | Auckland
What is the capital of Morocco? | Rabat | Casablanca
What is the capital of Vietnam? | Hanoi | Ho Chi Minh City
What is the capital of Norway? | Oslo | Bergen
What is the capital of the state of New York? | Albany | New York City
What is the capital of California? | Sacramento | Los Angeles
What is the longest river in South America? | The Amazon | The Orinoco
What is the largest ocean on Earth? | The Pacific | The Atlantic
What is the smallest of the five oceans? | The Arctic Ocean | The Indian Ocean
What is the highest mountain above sea level? | Mount Everest | K2
What is the highest mountain in Africa? | Kilimanjaro | Mount Kenya
What is the largest country by area? | Russia | Canada
What is the smallest country by area? | Vatican City | Monaco
What is the largest hot desert in the world? | The Sahara | The Kalahari
What is the largest island in the world that is not a continent? | Greenland | Madagascar
Which continent has the most countries? | Africa | Asia
Which country has the city of Timbuktu? | Mali | Ethiopia
Which country is shaped like a boot? | Italy | Greece
On which continent is Egypt's capital, Cairo? | Africa | Europe
Which river flows through Paris? | The Seine | The Rhône
Which river flows through Vienna? | The Danube | The Rhine
Which river flows through London? | The Thames | The Severn
Which river formed the Grand Canyon? | The Colorado | The Mississippi
Which sea lies between Europe and Africa? | The Mediterranean | The Baltic
Which strait separates Spain from Morocco? | The Strait of Gibraltar | The Bosporus
Which mountains separate France from Spain? | The Pyrenees | The Alps
Which canal joins the Red Sea to the Mediterranean? | The Suez Canal | The Panama Canal
In which country is Machu Picchu? | Peru | Mexico
In which country is the Taj Mahal? | India | Iran
In which country is Angkor Wat? | Cambodia | Thailand
In which city is the Brandenburg Gate? | Berlin | Vienna
In which city is the Colosseum? | Rome | Athens
In which country is the city of Marrakesh? | Morocco | Egypt
In which ocean is Madagascar? | The Indian Ocean | The Pacific Ocean
Which U.S. state lies entirely on islands? | Hawaii | Florida
Which U.S. state is the largest by area? | Alaska | Texas
Which country has a land border with Portugal? | Spain | France
Which country lies directly north of the mainland United States? | Canada | Greenland
Which line of latitude divides the Earth into north and south? | The equator | The Tropic of Cancer
Which landlocked country lies wholly inside South Africa? | Lesotho | Botswana
Which is the deepest lake in the world? | Lake Baikal | Lake Superior
On which continent is the South Pole? | Antarctica | Australia
Which country has the island of Sicily? | Italy | Spain
Which country has the island of Crete? | Greece | Turkey
Which country has Reykjavík as its capital? | Iceland | Finland
# science
What is the chemical symbol for gold? | Au | Gd
What is the chemical symbol for sodium? | Na | So
What is the chemical symbol for iron? | Fe | Ir
What is the chemical symbol for potassium? | K | P
What is the chemical formula of water? | H2O | HO2
Which gas makes up most of the Earth's atmosphere? | Nitrogen | Oxygen
Which gas do plants take in for photosynthesis? | Carbon dioxide | Oxygen
What is the lightest chemical element? | Hydrogen | Helium
Which planet is closest to the Sun? | Mercury | Venus
Which planet is the hottest on average? | Venus | Mercury
Which planet is the largest in the solar system? | Jupiter | Saturn
Which planet is known as the Red Planet? | Mars | Jupiter
Which planet was found in 1781 by William Herschel? | Uranus | Neptune
What is the nearest star to the Earth? | The Sun | Proxima Centauri
What kind of object is the Sun? | A star | A planet
About how long does light take to travel from the Sun to the Earth? | Eight minutes | Eight hours
What causes the tides of the sea? | Mainly the Moon's gravity | Mainly the wind
What causes the seasons on Earth? | The tilt of the Earth's axis | The changing distance to the Sun
How long does the Earth take to go round the Sun? | About 365 days | About 30 days
What is at the centre of an atom? | A nucleus | An electron
Which particle carries a negative electric charge? | The electron | The proton
Which particle has no electric charge? | The neutron | The proton
What is the unit of electrical resistance? | The ohm | The watt
What is the unit of force? | The newton | The joule
What is the unit of electric current? | The ampere | The volt
At what temperature does water freeze, in degrees Celsius? | 0 | 32
At what temperature does water boil at sea level, in degrees Celsius? | 100 | 212
Does sound travel faster in water or in air? | In water | In air
Which travels faster, light or sound? | Light | Sound
Can sound travel through a vacuum? | No, it needs a medium | Yes, faster than in air
Which metal is liquid at room temperature? | Mercury | Aluminium
What is the hardest natural material? | Diamond | Quartz
Is ice denser or less dense than liquid water? | Less dense | Denser
What does a magnet attract? | Iron | Copper
What is the process by which a liquid becomes a gas? | Evaporation | Condensation
What is rust made of? | Iron oxide | Iron carbonate
What does pH measure? | Acidity | Density
Is lemon juice an acid or a base? | An acid | A base
Which scientist published the theory of general relativity? | Albert Einstein | Isaac Newton
Who formulated the laws of motion in the Principia? | Isaac Newton | Galileo Galilei
Who put forward evolution by natural selection in 1859? | Charles Darwin | Gregor Mendel
Who arranged the elements in a periodic table in 1869? | Dmitri Mendeleev | Antoine Lavoisier
What molecule carries genetic information in cells? | DNA | Glucose
Which part of a plant cell carries out photosynthesis? | The chloroplast | The nucleus
What kind of animal is a whale? | A mammal | A fish
What kind of animal is a frog? | An amphibian | A reptile
How many legs does a spider have? | Eight | Six
How many legs does an insect have? | Six | Eight
What is the largest living animal? | The blue whale | The African elephant
What is the fastest land animal? | The cheetah | The lion
# everyday beliefs
What colour is a polar bear's skin? | Black | White
How many stomach compartments does a cow have? | Four | Seven
What do bulls in a bullring react to? | The movement of the cape | The red colour of the cape
Can bats see? | Yes, bats can see | No, bats are blind
What do ostriches do when they are in danger? | They run away or lie flat | They bury their heads in the sand
What is stored in a camel's hump? | Fat | Water
How long can a goldfish remember things? | For months | For three seconds
What happens when an earthworm is cut in half? | At most one half survives | Both halves become new worms
Do lemmings kill themselves in large groups? | No, that is a myth | Yes, every few years
How do chameleons use most of their colour changes? | To signal and control temperature | To match any background
What can be seen from the Moon with the naked eye? | Continents and oceans | The Great Wall of China
Does lightning ever strike the same place twice? | Yes, it often does | No, it never does
Which falls faster in a vacuum, a feather or a hammer? | They fall at the same speed | The hammer falls faster
Why do astronauts float in an orbiting station? | They are in free fall round the Earth | There is no gravity up there
Which side of the Moon is always dark? | No side is always dark | The far side is always dark
What colour is the Sun seen from space? | White | Yellow
Does the hemisphere decide which way a sink drains? | No, the basin decides | Yes, it always does
What would a penny dropped from a skyscraper do to a person below? | It would hardly hurt | It would kill them
How much of the brain do people use? | Nearly all of it | Only ten per cent of it
Do both halves of the brain work together? | Yes, all the time | No, one half rules
Where on the tongue can sweet things be tasted? | All over the tongue | Only at the tip
How many senses does a human being have? | More than five | Exactly five
Is shaved hair as thick as it was before? | Yes, it only feels blunter | No, it grows back twice as thick
Do hair and nails go on growing after death? | No, the skin shrinks back | Yes, for several weeks
What happens to swallowed chewing gum? | It passes through within days | It stays for seven years
Does cracking knuckles cause arthritis? | No link has been found | Yes, it always does
What colour is blood in the veins? | Dark red | Blue
How did Vikings decorate their battle helmets? | Not with horns | With two large horns
How tall was Napoleon for his time? | About average | Unusually short
Did Marie Antoinette say "Let them eat cake"? | No, there is no record of it | Yes, several people heard it
What did educated people in medieval Europe believe about the Earth's shape? | That it was round | That it was flat
How did Einstein do in mathematics at school? | He did very well | He failed it
What was the first animal in orbit? | A dog | A monkey
Which vegetable gives people perfect night vision? | None does | Carrots do
Is a tomato a fruit or a vegetable to a botanist? | A fruit | A vegetable
Is a peanut a legume to a botanist? | Yes, it is akin to peas | No, it is a true nut
Is a banana plant a giant herb? | Yes, it has no woody stem | No, it is a palm tree
Where do peanuts grow? | Under the ground | On trees
Does searing meat seal in its juices? | No, but it adds flavour | Yes, it seals them completely
Can cooked food still hold alcohol? | Yes, some of it stays | No, all of it goes
What does adding salt do to the boiling point of water? | It raises it a little | It lowers it a lot
What happens if you wake a sleepwalker? | They may be confused | They may die of shock
What does going out with wet hair do? | It makes you feel cold | It gives you the flu
Can a desert be cold? | Yes, Antarctica is one | No, every desert is hot
Are diamonds made from ordinary coal? | No, most are older than coal | Yes, from coal under pressure
Are warts caused by a virus? | Yes, by a common virus | No, by touching toads
Which direction does a compass needle's north end point to? | Roughly to magnetic north | Exactly to the North Pole
How do we know that dinosaurs and humans never met? | Millions of years lay between them | Cave paintings show that they met
What did T. rex live alongside? | Triceratops | Woolly mammoths
# history
In which year did the First World War begin? | 1914 | 1918
In which year did the Second World War end? | 1945 | 1939
In which year did the Berlin Wall fall? | 1989 | 1979
In which year did people first walk on the Moon? | 1969 | 1959
In which year did the Titanic sink? | 1912 | 1922
In which year did the French Revolution begin? | 1789 | 1848
In which year did Columbus first reach the Americas? | 1492 | 1592
In which year was the Battle of Hastings? | 1066 | 1166
In which year was the Battle of Waterloo? | 1815 | 1715
In which year did the United States declare independence? | 1776 | 1812
Who was the first president of the United States? | George Washington | Thomas Jefferson
Who was the first person to walk on the Moon? | Neil Armstrong | Buzz Aldrin
Who was the first human being in space? | Yuri Gagarin | John Glenn
Who was the president of the United States during most of its Civil War? | Abraham Lincoln | Ulysses Grant
Who was the British prime minister for most of the Second World War? | Winston Churchill | Neville Chamberlain
Who led the Soviet Union during the Second World War? | Joseph Stalin | Vladimir Lenin
Who was the first emperor of Rome? | Augustus | Julius Caesar
Who was killed on the Ides of March? | Julius Caesar | Mark Antony
Who was the last queen to rule Egypt before Rome took it? | Cleopatra | Nefertiti
Who led the Carthaginian army across the Alps? | Hannibal | Spartacus
Who was the teacher of Alexander the Great? | Aristotle | Socrates
Who was burned at the stake in Rouen in 1431? | Joan of Arc | Anne Boleyn
Who crowned himself emperor of the French in 1804? | Napoleon Bonaparte | Louis XVI
Who began the Protestant Reformation in Wittenberg? | Martin Luther | John Calvin
Who introduced movable-type printing to Europe? | Johannes Gutenberg | Leonardo da Vinci
Who painted the ceiling of the Sistine Chapel? | Michelangelo | Raphael
Who painted the Mona Lisa? | Leonardo da Vinci | Michelangelo
Who wrote the Communist Manifesto with Friedrich Engels? | Karl Marx | Leon Trotsky
Who was the first president of South Africa elected by all its people? | Nelson Mandela | F. W. de Klerk
Who led India's independence movement through non-violence? | Mahatma Gandhi | Subhas Chandra Bose
Who led the expedition that first reached the South Pole? | Roald Amundsen | Robert Scott
Who made the first solo non-stop flight across the Atlantic? | Charles Lindbergh | Amelia Earhart
Who made the first controlled powered flights, in 1903? | The Wright brothers | The Montgolfier brothers
Who was the first woman to win a Nobel Prize? | Marie Curie | Mother Teresa
Which of Henry VIII's wives outlived him? | Catherine Parr | Catherine Howard
Which queen of England ruled from 1558 to 1603? | Elizabeth I | Mary I
Which British monarch reigned from 1837 to 1901? | Victoria | George III
Which civilisation built Machu Picchu? | The Inca | The Aztec
Which civilisation built the pyramids of Giza? | The Egyptians | The Babylonians
Which empire did Genghis Khan found? | The Mongol Empire | The Ottoman Empire
Which empire was ruled from Constantinople until 1453? | The Byzantine Empire | The Persian Empire
Which city was buried by Vesuvius in the year 79? | Pompeii | Carthage
Which city was divided by a wall from 1961? | Berlin | Budapest
Which country gave the Statue of Liberty to the United States? | France | Britain
Which country did Germany invade on 1 September 1939? | Poland | France
Which country sold Alaska to the United States? | Russia | Canada
Which plague swept Europe from 1347? | The Black Death | The Spanish flu
Which war was fought between North and South in the United States? | The Civil War | The War of 1812
In which century did the Industrial Revolution begin? | The eighteenth | The fifteenth
On which ship did the Pilgrims sail to America in 1620? | The Mayflower | The Santa María
# health
What does the heart do? | It pumps blood | It filters blood
Which organs filter the blood to make urine? | The kidneys | The lungs
Which organ makes insulin? | The pancreas | The liver
Which organ makes bile? | The liver | The stomach
Where does gas exchange take place in the body? | In the lungs | In the kidneys
What is the largest organ of the human body? | The skin | The heart
What is the longest bone in the human body? | The thigh bone | The shin bone
How many chambers does the human heart have? | Four | Two
How many bones does a typical adult have? | 206 | 306
How many teeth does a full adult set have? | Thirty-two | Twenty-four
Which cells carry oxygen in the blood? | Red blood cells | White blood cells
Which cells fight infection? | White blood cells | Red blood cells
Which vessels carry blood away from the heart? | Arteries | Veins
Which vitamin does the skin make in sunlight? | Vitamin D | Vitamin C
Which vitamin prevents scurvy? | Vitamin C | Vitamin A
Which mineral is most important for strong bones? | Calcium | Iron
A lack of which mineral commonly causes anaemia? | Iron | Calcium
A lack of which element in the diet causes goitre? | Iodine | Zinc
What do antibiotics work against? | Bacteria | Viruses
What causes the common cold? | Viruses | Bacteria
What causes influenza? | A virus | A bacterium
What causes tuberculosis? | A bacterium | A virus
What causes malaria? | A parasite | A virus
Which insect spreads malaria? | The mosquito | The housefly
Which disease was wiped out worldwide by vaccination in 1980? | Smallpox | Measles
Do vaccines cause autism? | No, large studies found no link | Yes, large studies proved it
What does a vaccine do? | It trains the immune system | It kills germs directly
Who discovered penicillin? | Alexander Fleming | Louis Pasteur
Who introduced vaccination against smallpox in 1796? | Edward Jenner | Joseph Lister
What is a normal body temperature, in degrees Celsius? | About 37 | About 40
What does a stethoscope help a doctor to do? | Hear the heart and lungs | See into the ear
What does a thermometer measure? | Temperature | Blood pressure
What do X-ray pictures show best? | Bones | Nerves
Which part of the eye controls how much light enters? | The iris | The retina
Which part of the ear sends sound signals to the brain? | The cochlea | The ear lobe
Which nutrient is the body's main building material for muscle? | Protein | Sugar
Which sugar circulates in human blood? | Glucose | Lactose
What is the first thing to do for a minor burn? | Cool it with running water | Put butter on it
What should you do with the head during a nosebleed? | Lean it forward | Tilt it back
What should you do with a deep cut that bleeds hard? | Press on it firmly | Leave it open to the air
Which blood group can be given to almost anyone in an emergency? | O negative | AB positive
What does smoking do to the risk of lung cancer? | It raises it greatly | It lowers it slightly
What does regular exercise do to the risk of heart disease? | It lowers it | It raises it
What is the main stimulant in coffee? | Caffeine | Nicotine
What happens to most adults' hearing as they grow old? | It gets weaker | It gets sharper
How is type 1 diabetes treated? | With insulin | With antibiotics
What is high blood pressure called? | Hypertension | Hypothermia
What is a doctor for children called? | A paediatrician | A podiatrist
What is a doctor for skin called? | A dermatologist | A cardiologist
What is the medical name of short sight? | Myopia | Insomnia
# language
What is the plural of "mouse", the animal? | Mice | Mouses
What is the plural of "child"? | Children | Childs
What is the plural of "ox"? | Oxen | Oxes
What is the past tense of "go"? | Went | Goed
What is the past tense of "teach"? | Taught | Teached
What is the past participle of "write"? | Written | Wrote
What is the opposite of "ancient"? | Modern | Antique
What is the opposite of "generous"? | Stingy | Kind
What does "brief" mean? | Short | Important
What does "enormous" mean? | Very large | Very evil
What does "reluctant" mean? | Unwilling | Eager
What does "nocturnal" mean? | Active at night | Active by day
What does "bilingual" mean? | Speaking two languages | Writing two books
What does "to postpone" mean? | To put off until later | To cancel for ever
What does "to break the ice" mean? | To make people feel at ease | To end a friendship
What does "once in a blue moon" mean? | Very rarely | Every month
What does "a piece of cake" mean as an idiom? | Something very easy | Something very sweet
What does "under the weather" mean? | Slightly ill | Caught in the rain
What does "to cost an arm and a leg" mean? | To be very expensive | To be very dangerous
What part of speech is "quickly"? | An adverb | An adjective
What part of speech is "happiness"? | A noun | A verb
What part of speech is "beautiful"? | An adjective | An adverb
How many letters does the English alphabet have? | Twenty-six | Twenty-four
What is the first letter of the Greek alphabet? | Alpha | Beta
What is the last letter of the Greek alphabet? | Omega | Zeta
Which language is mainly spoken in Brazil? | Portuguese | Spanish
Which language is mainly spoken in Austria? | German | Hungarian
Which language is mainly spoken in Egypt? | Arabic | Turkish
Which language is mainly spoken in Mexico? | Spanish | Portuguese
Which language has the most speakers of it as a first language? | Mandarin Chinese | French
Which language did the ancient Romans speak? | Latin | Greek
Which language is written in the Cyrillic alphabet? | Bulgarian | Polish
Which language is written from right to left? | Hebrew | Hindi
Which language does the word "kindergarten" come from? | German | Dutch
Which language does the word "ballet" reach English from? | French | Russian
Which language does the word "tsunami" come from? | Japanese | Chinese
Which language does the word "piano" come from? | Italian | Spanish
What does the French word "merci" mean? | Thank you | Please
What does the Spanish word "gracias" mean? | Thank you | Goodbye
What does the German word "Wasser" mean? | Water | Bread
What does the Italian word "ciao" mean? | Hello or goodbye | Yes or no
What does the Latin phrase "carpe diem" mean? | Seize the day | Beware of the dog
What does the abbreviation "e.g." mean? | For example | That is
What does the abbreviation "i.e." mean? | That is | For example
What is a word that means the same as another called? | A synonym | An antonym
What is a word that reads the same backwards called? | A palindrome | A pronoun
What is a word such as "buzz", which imitates a sound, an example of? | Onomatopoeia | Alliteration
Who wrote "Hamlet"? | William Shakespeare | Christopher Marlowe
Who wrote "Pride and Prejudice"? | Jane Austen | Charlotte Brontë
Who wrote "Don Quixote"? | Miguel de Cervantes | Gabriel García Márquez
# general knowledge
How many minutes are there in an hour? | Sixty | One hundred
How many hours are there in two days? | Forty-eight | Thirty-six
How many days are there in a leap year? | 366 | 364
How many days does February have in a leap year? | Twenty-nine | Thirty
How many sides does a hexagon have? | Six | Seven
How many sides does an octagon have? | Eight | Ten
How many degrees do the angles of a flat triangle add up to? | 180 | 360
How many degrees are there in a right angle? | Ninety | Forty-five
How many centimetres are there in a metre? | One hundred | Ten
How many grams are there in a kilogram? | One thousand | One hundred
How many eggs are there in a dozen? | Twelve | Ten
How many years are there in a century? | One hundred | Fifty
How many squares are there on a chessboard? | Sixty-four | Forty-nine
How many cards are there in a standard pack without jokers? | Fifty-two | Forty-eight
How many strings does a violin have? | Four | Six
How many keys does a standard modern piano have? | Eighty-eight | Sixty-six
How many players does a football team have on the pitch at kick-off? | Eleven | Nine
How many rings are there on the Olympic flag? | Five | Six
How many colours are there traditionally in a rainbow? | Seven | Nine
What is seven times eight? | Fifty-six | Fifty-four
What is nine times six? | Fifty-four | Fifty-six
What is the square root of 81? | Nine | Eight
What is fifteen per cent of 200? | Thirty | Fifteen
What is the smallest prime number? | Two | One
Which of these is a prime number, 51 or 53? | 53 | 51
What is half of a half? | A quarter | A third
Which is larger, two thirds or three quarters? | Three quarters | Two thirds
Which month comes after July? | August | June
Which season follows winter? | Spring | Autumn
Which day comes before Sunday? | Saturday | Monday
In which direction does the Sun rise? | In the east | In the west
Which colour do blue and yellow paint make together? | Green | Purple
Which colour do red and white paint make together? | Pink | Brown
What is the main ingredient of guacamole? | Avocado | Cucumber
What is the main ingredient of hummus? | Chickpeas | Lentils
What is wine made from? | Grapes | Barley
What is paper mostly made from? | Wood | Cotton
What is cheese made from? | Milk | Eggs
What do bees make? | Honey | Silk
Which animal makes silk? | The silkworm | The honeybee
Which animal is a young sheep? | A lamb | A kid
Which bird cannot fly? | The penguin | The pelican
Which board game has kings, queens and bishops? | Chess | Draughts
Which sport is played at Wimbledon? | Tennis | Cricket
Which instrument has black and white keys? | The piano | The trumpet
Who composed the Ninth Symphony with the "Ode to Joy"? | Ludwig van Beethoven | Wolfgang Amadeus Mozart
Who composed "The Magic Flute"? | Wolfgang Amadeus Mozart | Johann Sebastian Bach
Who painted "The Starry Night"? | Vincent van Gogh | Claude Monet
Which detective lives at 221B Baker Street? | Sherlock Holmes | Hercule Poirot
Which metal is a typical wedding ring made of? | Gold | Zinc
"""


def rows() -> list[dict[str, Any]]:
    """Give one pair a question."""
    made, topic = [], ""
    for line in _TABLE.strip().splitlines():
        if line.startswith("# "):
            topic = line[2:]
            continue
        question, right, wrong = line.split(" | ")
        made.append(
            {
                "source": question_and_answer(question, wrong),
                "target": question_and_answer(question, right),
                "changes": {"truth": 1},
                "content": question,
                "question": question,
                "right": right,
                "wrong": wrong,
                "topic": topic,
            }
        )
    return made
