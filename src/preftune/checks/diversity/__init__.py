"""How many different things are asked: PC500 to PC503."""
