"""What stands there more than once, and where else: PC200 to PC205."""
