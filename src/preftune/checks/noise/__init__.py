"""What words say of the labels, and which labels they doubt: PC405, PC406, PC600 to PC602."""
