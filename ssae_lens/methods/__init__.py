"""Ways to make a steering vector, one file each."""
