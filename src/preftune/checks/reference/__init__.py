"""What the data is to one model: PC700 to PC709."""
