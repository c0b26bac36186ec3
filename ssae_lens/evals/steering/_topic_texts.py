"""Short texts of our own about six topics, and about none of them.

Of each list the first half is learned from, and the second is what topics are measured by.
"""

LINES = {
    "the sea": """
The waves broke over the deck of the trawler.
At low tide children look for crabs among the rocks.
A lighthouse stands at the end of the harbour wall.
The captain steered the ship into the open ocean.
Whales pass this coast on their way to the north.
The beach was covered with shells and seaweed.
Sailors fear the currents around the island.
Divers found the wreck under forty metres of water.
Gulls followed the fishing boats back to port.
The storm tore the sails and snapped the mast.
Salt spray wet their faces as the ferry left the bay.
Coral reefs shelter thousands of kinds of fish.
The anchor dragged along the sandy bottom.
She learned to swim in the surf below the cliffs.
The submarine surfaced a mile from the shore.
High tide washes away every footprint on the sand.
The yacht crossed the Atlantic in three weeks.
Fishermen mend their nets on the quay.
Sharks and dolphins hunt in the same waters.
The harbour froze, and no vessel could sail.
Jellyfish drifted past the swimmers.
An island appeared on the horizon at dawn.
The tsunami swept away the boats along the coast.
Pirates once hid their ships in this cove.
""",
    "music": """
The violinist tuned her instrument before the concert.
He plays the drums in a rock band.
The choir sang a hymn in four parts.
This symphony has a slow second movement.
She wrote the lyrics, and he wrote the melody.
The pianist practises scales for an hour a day.
A jazz trio performs at the club on Thursdays.
The guitar was out of tune for the whole song.
The orchestra waited for the conductor to raise his baton.
Their new album has twelve songs.
The soprano held the last note of the aria.
He hums the chorus of every tune on the radio.
The cello part is written in the tenor clef.
Fans sang along with every song at the festival.
The composer died before his opera was performed.
She bought a trumpet and joined the brass band.
The rhythm changes from three beats to four.
Bach wrote this fugue for the organ.
The singer's voice filled the concert hall.
They recorded the single in one afternoon.
The flute answers the oboe in the next bar.
A folk song is passed on by ear.
The bass guitar and the drums keep the beat.
The string quartet played an encore.
""",
    "cooking": """
Chop the onions finely and fry them in butter.
The bread has to rise for two hours before you bake it.
Add a pinch of salt and a spoonful of sugar.
She stirred the sauce until it thickened.
Roast the chicken with lemon, garlic and thyme.
Whisk the eggs with the milk and the flour.
The recipe calls for fresh basil and ripe tomatoes.
Simmer the soup on a low heat for half an hour.
He burned the rice at the bottom of the pot.
Knead the dough and leave it under a cloth.
The chef tasted the stew and added pepper.
Peel the potatoes, boil them and mash them.
Grate the cheese over the pasta and serve it hot.
The oven should be very hot for a good pizza.
Marinate the fish in oil and vinegar overnight.
The cake sank because the batter was too wet.
Toast the nuts in a dry frying pan.
A sharp knife is a cook's most useful tool.
Season the beef, and sear it on both sides.
They served pancakes with syrup for breakfast.
Melt the chocolate slowly over hot water.
The pastry must be cold when you roll it out.
Drain the beans and toss them with olive oil.
My aunt's apple pie has cinnamon and cloves in it.
""",
    "football": """
The striker scored twice in the first half.
The goalkeeper saved the penalty with his left hand.
Fans filled the stadium an hour before kick-off.
The referee showed the defender a red card.
United beat their rivals by three goals to one.
He passed the ball to the winger on the right.
The midfielder is out of the team with a torn muscle.
The coach changed the formation at half-time.
Their captain lifted the cup in front of the crowd.
The corner was headed over the bar.
The match ended in a draw after extra time.
The club signed two players before the season began.
A free kick from thirty metres hit the post.
The league title was decided on the last day.
Supporters sang as the players came out of the tunnel.
The linesman raised his flag for offside.
The youngest player on the pitch scored the winner.
They lost the final in a penalty shoot-out.
The manager was sacked after five defeats in a row.
The full-back crossed, and the forward shot wide.
The team trains every morning on the grass pitch.
He dribbled past two opponents and scored.
The World Cup is played every four years.
The home side defended well until the final whistle.
""",
    "astronomy": """
The telescope was pointed at a distant galaxy.
Jupiter has dozens of moons and a faint ring.
A comet left a bright tail across the night sky.
The star exploded as a supernova long ago.
Astronauts floated outside the space station.
Light from the sun takes eight minutes to reach us.
The probe sent back pictures of the surface of Mars.
A black hole bends the light that passes near it.
Venus is the brightest planet in the evening sky.
The rocket carried a satellite into orbit.
Meteors burn up in the upper atmosphere.
Astronomers measured how far away the nebula is.
The moon passed in front of the sun during the eclipse.
Saturn's rings are made of ice and dust.
The universe has been expanding since the big bang.
A year on Neptune lasts as long as many human lives.
The observatory stands on a mountain far from city lights.
Two neutron stars circled each other and merged.
The crew landed on the moon and collected rocks.
The Milky Way contains billions of stars.
An asteroid crossed the orbit of the earth.
The red giant will shrink to a white dwarf.
Stargazers saw Mercury just before sunrise.
The spacecraft left the solar system.
""",
    "medicine": """
The surgeon removed the tumour in four hours.
Take one tablet twice a day after meals.
The patient has a fever and a sore throat.
A nurse measured his blood pressure.
The vaccine protects children against measles.
The doctor listened to her heart and lungs.
An X-ray showed that the bone was broken.
Antibiotics do not work against viruses.
The ambulance took him to the hospital.
The symptoms include headache and nausea.
She was treated for pneumonia on the ward.
The clinic tests blood for signs of infection.
The dentist gave him an injection before the filling.
The disease spreads through contaminated water.
The physician prescribed a stronger painkiller.
Her allergy causes a rash and swelling.
The operation on his knee was a success.
High cholesterol raises the risk of a stroke.
The midwife examined the mother and the baby.
A biopsy showed no trace of cancer.
Diabetics inject insulin to control their blood sugar.
The wound was cleaned and stitched.
The psychiatrist changed the dose of the drug.
Intensive care was full of patients with influenza.
""",
}

NEUTRAL = """
The library closes early on Saturdays.
He painted the fence green last spring.
The bus was full, so we walked.
Our offices are on the second floor.
She is learning to type without looking.
The parcel arrived two days late.
The museum is free on the first Sunday of the month.
They have lived in this street for years.
My cousin sells second-hand furniture.
The train was late again on Monday.
The committee has seven members.
Please fill in both sides of the form.
The roof of the barn needs new tiles.
She lent me an umbrella and a coat.
The lecture is about the history of printing.
We met at the corner by the bank.
The price of petrol went up last week.
He collects stamps and old coins.
The dog barked at the postman.
The contract has to be signed by Friday.
Her hair was tied back with a ribbon.
The lift stops between the floors.
They planted tulips along the path.
The judge asked the witness to speak up.
"""


def halves(lines: str) -> tuple[list[str], list[str]]:
    """Return the texts to learn from, and those to measure by."""
    texts = lines.strip().splitlines()
    return texts[: len(texts) // 2], texts[len(texts) // 2 :]
