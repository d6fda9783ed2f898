"""Files of rows: reading and checking them."""
