"""Who judged, and how well they agree: PC603 to PC607."""
