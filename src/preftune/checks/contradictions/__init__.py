"""What no model can satisfy together: judgements, circles, scores: PC300 to PC304, PC608."""
