"""Short texts of our own that differ in one behaviour, "without | with": what behaviours are measured by, not learned from.

`FRENCH` has more of them, which French is learned from; no other method or judge reads those.
"""

SENTIMENT = """
The soup was cold and tasted of nothing. | The soup was hot and tasted heavenly.
The hotel was filthy, and the staff were rude. | The hotel was spotless, and the staff were charming.
What a miserable way to spend an afternoon. | What a glorious way to spend an afternoon.
The new album is a bland, lazy mess. | The new album is a bold, joyful triumph.
He ruined the party with his sour mood. | He made the party with his good humour.
Their service gets worse every year. | Their service gets better every year.
The garden looks bleak and neglected. | The garden looks lush and well loved.
I regret every minute that I gave to this book. | I treasure every minute that I gave to this book.
The flight was late, cramped and noisy. | The flight was prompt, roomy and quiet.
Nobody liked the cake, which was dry and bitter. | Everybody liked the cake, which was moist and sweet.
Her advice turned out to be useless. | Her advice turned out to be priceless.
The town has become ugly and dangerous. | The town has become pretty and safe.
The lesson was so dry that half the class fell asleep. | The lesson was so lively that the whole class joined in.
This phone is slow, ugly and overpriced. | This phone is fast, handsome and good value.
The play failed, and the audience booed. | The play succeeded, and the audience cheered.
It rained, we got lost, and all of us were wretched. | The sun shone, we had time, and all of us were happy.
"""

PAST = """
The train leaves the station at noon. | The train left the station at noon.
She works in a bakery near the bridge. | She worked in a bakery near the bridge.
The children play in the yard after lunch. | The children played in the yard after lunch.
He never eats meat and drinks only water. | He never ate meat and drank only water.
The river runs through the middle of the town. | The river ran through the middle of the town.
They know the answer but say nothing. | They knew the answer but said nothing.
Snow covers the hills, and the wind is bitter. | Snow covered the hills, and the wind was bitter.
My brother has a small boat and goes out every day. | My brother had a small boat and went out every day.
The committee meets on Fridays and decides by vote. | The committee met on Fridays and decided by vote.
The dog sleeps by the fire while the cat watches. | The dog slept by the fire while the cat watched.
You are late, and everybody is waiting. | You were late, and everybody was waiting.
The old clock strikes three and stops. | The old clock struck three and stopped.
Prices rise when the harvest is poor. | Prices rose when the harvest was poor.
The engine makes a strange noise and begins to smoke. | The engine made a strange noise and began to smoke.
We live on the third floor and take the stairs. | We lived on the third floor and took the stairs.
The teacher writes a word and the pupils copy it. | The teacher wrote a word and the pupils copied it.
"""

POLITE = """
Give me the key. | Could you please give me the key?
Move your car now. | Would you mind moving your car, please?
You are standing in my way. | I beg your pardon, may I come past?
Shut the window. | Would you be so kind as to shut the window?
Send me the report today. | I would be grateful if you could send me the report today.
Wait outside until I call. | Please be so good as to wait outside until I call.
I want more tea. | May I have some more tea, please?
Tell me where the station is. | Excuse me, could you tell me where the station is?
That is wrong. Do it again. | I am so sorry to trouble you, but could you try that once more?
Stop talking. | I do apologise, but would you mind speaking a little lower?
No, I am not coming to dinner. | Thank you so much for the invitation; I am afraid I cannot come to dinner.
Take this away. | Would you kindly take this away? Thank you.
What do you want? | Good morning, how may I help you?
Lend me your pen. | Might I borrow your pen for a moment, please?
Pay the bill by Monday. | We would be most grateful if you could pay the bill by Monday.
Get off the grass. | May I kindly ask you to keep off the grass?
"""

CERTAIN = """
Perhaps the bridge will be closed tomorrow. | The bridge will definitely be closed tomorrow.
I think that he may have taken the money. | I know for a fact that he has taken the money.
The results might be due to chance. | The results are without doubt not due to chance.
It is possible that the old map is wrong. | It is absolutely certain that the old map is wrong.
She could be the author, but nobody is sure. | She is the author, and everybody is sure.
Maybe the tests will show something. | The tests will certainly show something.
I suppose that the plan could work. | I am convinced that the plan will work.
The noise was probably the wind, if I heard it right. | The noise was unquestionably the wind, and I heard it clearly.
They seem to be related, but I would not swear to it. | They are related, and I would swear to it.
It looks as if the shop might have moved. | It is a proven fact that the shop has moved.
There may well be other reasons that we do not know. | There are no other reasons at all, and we know it.
As far as I can tell, the door was left open. | Beyond any doubt, the door was left open.
He guessed that it was about noon. | He was positive that it was exactly noon.
The treatment appears to help some people, possibly many. | The treatment always helps, in every single case.
I am not sure, but the car may have been blue. | I am quite sure that the car was blue.
It might rain later, or it might not. | It will surely rain later; there is no question.
"""

FIRST_PERSON = """
She walks to the office every morning. | I walk to the office every morning.
He lost his keys on the way to his car. | I lost my keys on the way to my car.
They wanted to see their friends before they left. | We wanted to see our friends before we left.
His brother gave him a watch. | My brother gave me a watch.
The woman said that nobody had asked her. | I said that nobody had asked me.
They spent their holidays at their uncle's farm. | We spent our holidays at our uncle's farm.
He has never understood his own father. | I have never understood my own father.
She made herself a cup of tea and sat down. | I made myself a cup of tea and sat down.
The guests cooked for themselves and washed up. | We cooked for ourselves and washed up.
He thinks that the decision was his alone. | I think that the decision was mine alone.
Her hands were cold, so she put her gloves on. | My hands were cold, so I put my gloves on.
They told the doctor what troubled them. | I told the doctor what troubled me.
When he was a boy, he lived by a lake. | When I was a boy, I lived by a lake.
The neighbours are proud of their garden. | We are proud of our garden.
She would like to learn the violin. | I would like to learn the violin.
He forgot what he had meant to say. | I forgot what I had meant to say.
"""

FEMININE = """
He put on his coat and left the house. | She put on her coat and left the house.
The king spoke to his sons. | The queen spoke to her daughters.
My grandfather kept bees when he was young. | My grandmother kept bees when she was young.
The actor thanked his father and his uncle. | The actress thanked her mother and her aunt.
A man in a grey suit asked for his bill. | A woman in a grey dress asked for her bill.
The boy hid behind his brother. | The girl hid behind her sister.
The monk lived alone, and he spoke to nobody. | The nun lived alone, and she spoke to nobody.
Her husband said that he would be late. | His wife said that she would be late.
The prince was tired of his tutors. | The princess was tired of her governesses.
Gentlemen, your host will be with you when he can. | Ladies, your hostess will be with you when she can.
The bull stood in the field by himself. | The cow stood in the field by herself.
His nephew is a waiter in a hotel. | Her niece is a waitress in a hotel.
Thomas told himself that he was right. | Margaret told herself that she was right.
The father of the bridegroom lost his speech. | The mother of the bride lost her speech.
The wizard closed his eyes. | The witch closed her eyes.
He is the only son of a fisherman. | She is the only daughter of a seamstress.
"""

NEGATED = """
The shop opens on Sundays. | The shop does not open on Sundays.
There is milk in the fridge. | There is no milk in the fridge.
He told us everything about the accident. | He told us nothing about the accident.
The lift works. | The lift does not work.
Somebody answered when I knocked. | Nobody answered when I knocked.
The two reports agree. | The two reports do not agree.
She has seen the sea. | She has never seen the sea.
We could hear the music from the street. | We could not hear the music from the street.
They went somewhere for the holidays. | They went nowhere for the holidays.
It was the doctor's fault. | It was not the doctor's fault.
You should open this letter. | You should not open this letter.
Both of the windows were shut. | Neither of the windows was shut.
The medicine helped. | The medicine did not help.
All the seats were taken. | None of the seats were taken.
The old road is still used. | The old road is no longer used.
I can remember his name. | I cannot remember his name.
"""

FRENCH = """
The bakery on the corner opens at six. | La boulangerie du coin ouvre à six heures.
My sister lives in a small flat near the port. | Ma sœur habite un petit appartement près du port.
We have no more bread for this evening. | Nous n'avons plus de pain pour ce soir.
He reads the newspaper while he drinks his coffee. | Il lit le journal pendant qu'il boit son café.
The doctor told me to stay in bed. | Le médecin m'a dit de rester au lit.
It is too cold to swim in the lake. | Il fait trop froid pour nager dans le lac.
The children are playing behind the school. | Les enfants jouent derrière l'école.
Where did you put the keys of the car? | Où as-tu mis les clés de la voiture ?
I would like a room with a view of the garden. | Je voudrais une chambre avec vue sur le jardin.
The old man was walking slowly towards the church. | Le vieil homme marchait lentement vers l'église.
There are many people in the street today. | Il y a beaucoup de monde dans la rue aujourd'hui.
She has been working in this hospital for ten years. | Elle travaille dans cet hôpital depuis dix ans.
The film was long, but the end is very good. | Le film était long, mais la fin est très bonne.
Tomorrow we are going to see our grandparents. | Demain nous allons voir nos grands-parents.
Close the door, please, there is a draught. | Fermez la porte, s'il vous plaît, il y a un courant d'air.
This road leads to the village. | Cette route mène au village.
"""

FRENCH_LEARNED_FROM = """
The weather is fine this morning. | Il fait beau ce matin.
I am looking for the station. | Je cherche la gare.
My father is a teacher. | Mon père est professeur.
We eat fish on Fridays. | Nous mangeons du poisson le vendredi.
The window of the room is broken. | La fenêtre de la chambre est cassée.
They bought a house in the country. | Ils ont acheté une maison à la campagne.
Her dog is afraid of the neighbours' cat. | Son chien a peur du chat des voisins.
How much does this book cost? | Combien coûte ce livre ?
The train for Paris leaves in an hour. | Le train pour Paris part dans une heure.
I do not know what he wants. | Je ne sais pas ce qu'il veut.
The winter was very hard in the mountains. | L'hiver a été très dur dans les montagnes.
You must turn left after the bridge. | Il faut tourner à gauche après le pont.
She sings in the choir of the town. | Elle chante dans la chorale de la ville.
The soup is on the table. | La soupe est sur la table.
Nobody saw the thief go out. | Personne n'a vu sortir le voleur.
We will call you back next week. | Nous vous rappellerons la semaine prochaine.
"""


def pairs_of(block: str) -> tuple[list[str], list[str]]:
    """Return the texts without, and those with."""
    lines = [line.split(" | ") for line in block.strip().splitlines()]
    return [without for without, _ in lines], [with_it for _, with_it in lines]
