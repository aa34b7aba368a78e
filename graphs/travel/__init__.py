"""Travel, a graph with real joins: a hotel needs the flight's dates, a car needs flight and hotel."""
