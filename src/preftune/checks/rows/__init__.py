"""What is wrong with single rows: PC103 to PC113."""
